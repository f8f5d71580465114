//! The HTML parser's stack of open elements and list of formatting elements, kept by name alone: what a document
//! would make of the parser, without building it. Follows the tree construction of the HTML standard for a fragment
//! in a `div`, as html5ever does it; the rules stand in the modules below, the limits on the result in `limits`.

mod body;
mod foreign;
mod formatting;
mod stack;
mod table;
mod text;

use super::names::Name;
use super::tokens::{Content, Tag};
use formatting::Entry;

/// What the parser was made to do so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Elements created, also those opened anew or by implication.
    pub(crate) elements: usize,
    /// Attributes of these elements.
    pub(crate) attributes: usize,
    /// The bytes of these elements' start tags.
    pub(crate) written: usize,
    /// Comments.
    pub(crate) comments: usize,
    /// Nodes put in front of a table because they may not stand in it.
    pub(crate) fostered: usize,
    /// Elements taken from the stack.
    pub(crate) closed: usize,
    /// Places where the parser's course depends on what this module does not read.
    pub(crate) unclear: usize,
}

/// The insertion modes that a fragment can get into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Body,
    Text,
    Table,
    Caption,
    ColumnGroup,
    TableBody,
    Row,
    Cell,
    Template,
}

/// What is to be done after a rule.
enum Next {
    Done,
    Again(Mode),
    Into(Content),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Html,
    Svg,
    Math,
}

#[derive(Clone, Copy, Debug)]
struct Open<'a> {
    name: Name,
    text: &'a str,
    space: Space,
    id: usize,
    /// An `annotation-xml` that says it holds HTML.
    holds_html: bool,
}

impl Open<'_> {
    fn is(&self, name: Name) -> bool {
        self.html(|own| own == name)
    }

    fn html(&self, class: impl Fn(Name) -> bool) -> bool {
        self.space == Space::Html && class(self.name)
    }

    fn is_table_outer(&self) -> bool {
        self.html(|name| matches!(name, Name::Table | Name::Tbody | Name::Tfoot | Name::Thead | Name::Tr))
    }
}

/// How far up the stack an element is looked for.
#[derive(Clone, Copy)]
enum Scope {
    Default,
    ListItem,
    Button,
    Table,
}

impl Scope {
    fn ends_at(self, open: &Open<'_>) -> bool {
        if matches!(self, Self::Table) {
            return open.html(Name::is_table_scope);
        }
        let extra = |name| match self {
            Self::ListItem => matches!(name, Name::Ol | Name::Ul),
            Self::Button => name == Name::Button,
            Self::Default | Self::Table => false,
        };
        open.html(|name| name.is_scope() || extra(name)) || open.is_math_text() || open.is_svg_html()
    }
}

/// The stack and the list.
pub(crate) struct Outline<'a> {
    open: Vec<Open<'a>>,
    formatting: Vec<Entry<'a>>,
    mode: Mode,
    mode_before_text: Mode,
    template_modes: Vec<Mode>,
    form: Option<usize>,
    fostering: bool,
    skip_line_feed: bool,
    root_attributes: usize,
    last_id: usize,
    tally: Tally,
}

impl<'a> Outline<'a> {
    /// An empty document.
    pub(crate) fn new() -> Self {
        let root = Open { name: Name::Html, text: "html", space: Space::Html, id: 0, holds_html: false };
        Self {
            open: vec![root],
            formatting: Vec::new(),
            mode: Mode::Body,
            mode_before_text: Mode::Body,
            template_modes: Vec::new(),
            form: None,
            fostering: false,
            skip_line_feed: false,
            root_attributes: 0,
            last_id: 0,
            tally: Tally::default(),
        }
    }

    /// How many elements are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len().saturating_sub(1)
    }

    /// How many formatting elements are open or waiting to be opened anew.
    pub(crate) fn formatting(&self) -> usize {
        self.formatting.iter().filter(|entry| matches!(entry, Entry::Element { .. })).count()
    }

    /// The sums so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether the innermost open element is one of SVG or MathML.
    pub(crate) fn is_foreign(&self) -> bool {
        self.open.last().is_some_and(|top| top.space != Space::Html)
    }

    /// The name of the innermost open element.
    pub(crate) fn innermost(&self) -> Option<(Name, &'a str)> {
        self.open.last().map(|top| (top.name, top.text))
    }

    /// A start tag; answers what the characters after it are.
    pub(crate) fn start(&mut self, tag: &Tag<'a>) -> Content {
        self.skip_line_feed = false;
        loop {
            let next = if self.is_foreign_start(tag) {
                self.foreign_start(tag)
            } else {
                self.start_in(self.mode, tag)
            };
            match next {
                Next::Done => return Content::Markup,
                Next::Again(mode) => self.mode = mode,
                Next::Into(content) => return content,
            }
        }
    }

    /// An end tag.
    pub(crate) fn end(&mut self, tag: &Tag<'a>) {
        self.skip_line_feed = false;
        loop {
            let next = if self.is_foreign() { self.foreign_end(tag) } else { self.end_in(self.mode, tag) };
            match next {
                Next::Again(mode) => self.mode = mode,
                Next::Done | Next::Into(_) => return,
            }
        }
    }

    /// A comment.
    pub(crate) fn comment(&mut self) {
        self.skip_line_feed = false;
        self.tally.comments = self.tally.comments.saturating_add(1);
    }

    /// What is not a token of the document: a document type, `</>`.
    pub(crate) fn nothing(&mut self) {
        self.skip_line_feed = false;
    }

    fn start_in(&mut self, mode: Mode, tag: &Tag<'a>) -> Next {
        match mode {
            Mode::Text | Mode::Body => self.body_start(tag),
            Mode::Table => self.table_start(tag),
            Mode::Caption => self.caption_start(tag),
            Mode::ColumnGroup => self.column_group_start(tag),
            Mode::TableBody => self.table_body_start(tag),
            Mode::Row => self.row_start(tag),
            Mode::Cell => self.cell_start(tag),
            Mode::Template => self.template_start(tag),
        }
    }

    fn end_in(&mut self, mode: Mode, tag: &Tag<'a>) -> Next {
        match mode {
            Mode::Text => {
                self.pop();
                self.mode = self.mode_before_text;
                Next::Done
            }
            Mode::Body => self.body_end(tag),
            Mode::Table => self.table_end(tag),
            Mode::Caption => self.caption_end(tag),
            Mode::ColumnGroup => self.column_group_end(tag),
            Mode::TableBody => self.table_body_end(tag),
            Mode::Row => self.row_end(tag),
            Mode::Cell => self.cell_end(tag),
            Mode::Template if tag.name == Name::Template => self.close_template(),
            Mode::Template => Next::Done,
        }
    }

    /// The mode that the stack asks for after an element of a table or a template was closed.
    fn mode_of_stack(&self) -> Mode {
        let of = |open: &Open<'a>| match open.name {
            _ if open.space != Space::Html => None,
            Name::Td | Name::Th => Some(Mode::Cell),
            Name::Tr => Some(Mode::Row),
            Name::Tbody | Name::Thead | Name::Tfoot => Some(Mode::TableBody),
            Name::Caption => Some(Mode::Caption),
            Name::Colgroup => Some(Mode::ColumnGroup),
            Name::Table => Some(Mode::Table),
            Name::Template => self.template_modes.last().copied(),
            _ => None,
        };
        self.open.iter().rev().find_map(of).unwrap_or(Mode::Body)
    }
}
