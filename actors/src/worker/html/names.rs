//! The element names that the HTML parser treats in a way of their own, and the classes it sorts them into.
//! What the parser does with them stands in `outline`; what may stay in a page is decided by `html`.

/// The longest name in the list, in bytes; anything longer is [`Name::Other`] without a look.
const LONGEST: usize = 16;

macro_rules! names {
    ($($name:ident $text:literal)*) => {
        /// The name of an element, as far as the parser tells names apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Name {
            $(
                #[doc = $text]
                $name,
            )*
            /// Any other name: two of them are compared by their text.
            Other,
        }

        impl Name {
            /// The name spelt by `text`, in any case.
            pub(crate) fn of(text: &str) -> Self {
                let mut lower = [0_u8; LONGEST];
                let Some(lower) = lower.get_mut(..text.len()) else { return Self::Other };
                lower.copy_from_slice(text.as_bytes());
                lower.make_ascii_lowercase();
                match std::str::from_utf8(lower) {
                    $(Ok($text) => Self::$name,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

names! {
    A "a" Address "address" AnnotationXml "annotation-xml" Applet "applet" Area "area" Article "article"
    Aside "aside" B "b" Base "base" Basefont "basefont" Bgsound "bgsound" Big "big" Blockquote "blockquote"
    Body "body" Br "br" Button "button" Caption "caption" Center "center" Code "code" Col "col"
    Colgroup "colgroup" Dd "dd" Desc "desc" Details "details" Dialog "dialog" Dir "dir" Div "div" Dl "dl"
    Dt "dt" Em "em" Embed "embed" Fieldset "fieldset" Figcaption "figcaption" Figure "figure" Font "font"
    Footer "footer" ForeignObject "foreignobject" Form "form" Frame "frame" Frameset "frameset" H1 "h1" H2 "h2"
    H3 "h3" H4 "h4" H5 "h5" H6 "h6" Head "head" Header "header" Hgroup "hgroup" Hr "hr" Html "html" I "i"
    Iframe "iframe" Image "image" Img "img" Input "input" Isindex "isindex" Keygen "keygen" Li "li" Link "link"
    Listing "listing" Main "main" Malignmark "malignmark" Marquee "marquee" Math "math" Menu "menu" Meta "meta"
    Mglyph "mglyph" Mi "mi" Mn "mn" Mo "mo" Ms "ms" Mtext "mtext" Nav "nav" Nobr "nobr" Noembed "noembed"
    Noframes "noframes" Noscript "noscript" Object "object" Ol "ol" Optgroup "optgroup" Option "option" P "p"
    Param "param" Plaintext "plaintext" Pre "pre" Rb "rb" Rp "rp" Rt "rt" Rtc "rtc" Ruby "ruby" S "s"
    Script "script" Search "search" Section "section" Select "select" Small "small" Source "source" Span "span"
    Strike "strike" Strong "strong" Style "style" Sub "sub" Summary "summary" Sup "sup" Svg "svg" Table "table"
    Tbody "tbody" Td "td" Template "template" Textarea "textarea" Tfoot "tfoot" Th "th" Thead "thead"
    Title "title" Tr "tr" Track "track" Tt "tt" U "u" Ul "ul" Var "var" Wbr "wbr" Xmp "xmp"
}

impl Name {
    /// Bounds the search for an open element ("has an element in scope").
    pub(crate) fn is_scope(self) -> bool {
        use Name::*;
        matches!(self, Applet | Caption | Html | Table | Td | Th | Marquee | Object | Select | Template)
    }

    /// Bounds the search for a table's part.
    pub(crate) fn is_table_scope(self) -> bool {
        matches!(self, Self::Html | Self::Table | Self::Template)
    }

    /// An element that a stray end tag of an ordinary name does not reach through.
    pub(crate) fn is_special(self) -> bool {
        use Name::*;
        self.is_heading()
            || self.is_table_part()
            || matches!(
                self,
                Address
                    | Applet
                    | Area
                    | Article
                    | Aside
                    | Base
                    | Basefont
                    | Bgsound
                    | Blockquote
                    | Body
                    | Br
            )
            || matches!(self, Button | Center | Dd | Details | Dir | Div | Dl | Dt | Embed | Fieldset)
            || matches!(self, Figcaption | Figure | Footer | Form | Frameset | Header | Hgroup | Hr | Html)
            || matches!(
                self,
                Iframe | Img | Input | Isindex | Li | Link | Listing | Main | Marquee | Menu | Meta
            )
            || matches!(self, Nav | Noembed | Noframes | Noscript | Object | Ol | P | Param | Plaintext | Pre)
            || matches!(
                self,
                Script | Section | Select | Source | Style | Summary | Table | Template | Textarea
            )
            || matches!(self, Title | Track | Ul | Wbr | Xmp)
    }

    /// A formatting element: one that the parser opens anew after it was cut off.
    pub(crate) fn is_formatting(self) -> bool {
        use Name::*;
        matches!(self, A | B | Big | Code | Em | Font | I | Nobr | S | Small | Strike | Strong | Tt | U)
    }

    /// `h1` to `h6`.
    pub(crate) fn is_heading(self) -> bool {
        use Name::*;
        matches!(self, H1 | H2 | H3 | H4 | H5 | H6)
    }

    /// An element whose end tag may be left out.
    pub(crate) fn is_implied_end(self) -> bool {
        use Name::*;
        matches!(self, Dd | Dt | Li | Option | Optgroup | P | Rb | Rp | Rt | Rtc)
    }

    /// Outside a table these start tags are dropped.
    pub(crate) fn is_table_part(self) -> bool {
        use Name::*;
        matches!(self, Caption | Col | Colgroup | Frame | Head | Tbody | Td | Tfoot | Th | Thead | Tr)
    }

    /// Opens and is closed by one and the same tag.
    pub(crate) fn is_void(self) -> bool {
        use Name::*;
        matches!(
            self,
            Area | Base
                | Basefont
                | Bgsound
                | Br
                | Col
                | Embed
                | Hr
                | Img
                | Input
                | Keygen
                | Link
                | Meta
                | Param
                | Source
                | Track
                | Wbr
        )
    }

    /// A block whose start tag closes an open paragraph and that has no further rules.
    pub(crate) fn is_plain_block(self) -> bool {
        use Name::*;
        matches!(
            self,
            Address | Article | Aside | Blockquote | Center | Details | Dialog | Dir | Div | Dl | Fieldset
        ) || matches!(self, Figcaption | Figure | Footer | Header | Hgroup | Main | Menu | Nav | Ol | Search)
            || matches!(self, Section | Summary | Ul)
    }

    /// A block: cannot stand in a paragraph, because its start tag ends it.
    pub(crate) fn closes_paragraph(self) -> bool {
        use Name::*;
        self.is_plain_block()
            || self.is_heading()
            || matches!(self, P | Pre | Listing | Form | Li | Dd | Dt | Plaintext | Table | Hr | Xmp)
    }

    /// Ends foreign content (SVG, MathML) wherever its start tag stands in it.
    pub(crate) fn leaves_foreign(self) -> bool {
        use Name::*;
        self.is_heading()
            || matches!(
                self,
                B | Big | Blockquote | Body | Br | Center | Code | Dd | Div | Dl | Dt | Em | Embed
            )
            || matches!(
                self,
                Head | Hr | I | Img | Li | Listing | Menu | Meta | Nobr | Ol | P | Pre | Ruby | S
            )
            || matches!(self, Small | Span | Strong | Strike | Sub | Sup | Table | Tt | U | Ul | Var)
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_are_known_in_any_case_and_others_are_not() {
        assert_eq!(Name::of("DiV"), Name::Div);
        assert_eq!(Name::of("annotation-xml"), Name::AnnotationXml);
        for other in ["", "divv", "my-tag", "a\u{212a}", "seventeen-letters", "annotation-xml-longer"] {
            assert_eq!(Name::of(other), Name::Other, "{other}");
        }
    }

    #[test]
    fn the_formatting_elements_are_the_fourteen_of_the_standard() {
        let all = "a b big code em font i nobr s small strike strong tt u";
        assert_eq!(all.split(' ').filter(|name| Name::of(name).is_formatting()).count(), 14);
        assert!(!Name::Span.is_formatting());
    }
}
