//! Cleaning of HTML that scripts and authors wrote: an allowlist of elements and attributes, frames from named hosts
//! only. How much is let near the parser stands in `limits`; what macros are and where they stand, in `content`.

mod canonical;
pub mod limits;
mod names;
mod outline;
mod settle;
mod tokens;

pub(crate) use names::Name;
pub(crate) use tokens::{Content, Tag, Token, Tokens};

use ammonia::Url;
use limits::{Exceeded, Limit, Limits};
use std::borrow::Cow;
use std::collections::HashSet;

/// The hosts that frames may show unless the configuration names others.
pub const FRAME_HOSTS: [&str; 4] =
    ["www.youtube.com", "www.youtube-nocookie.com", "youtube.com", "player.vimeo.com"];

/// Elements beside ammonia's own that may stay.
const ELEMENTS: [&str; 3] = ["figure", "figcaption", "iframe"];

/// What a frame may say beside `src`.
const FRAME_ATTRIBUTES: [&str; 9] = [
    "src",
    "title",
    "width",
    "height",
    "allow",
    "allowfullscreen",
    "loading",
    "referrerpolicy",
    "frameborder",
];

/// How often HTML is cleaned until a browser reads it as it is written; nearly all of it is after the first time.
const ROUNDS: usize = 8;

/// The allowlist, made ready. Built once; cleaning takes `&self` and blocks, so it belongs on a thread of its own.
#[derive(Debug)]
pub struct Cleaner {
    builder: ammonia::Builder<'static>,
}

impl Cleaner {
    /// Lets frames show pages of exactly these hosts, over https.
    pub fn new<Host: Into<String>>(frame_hosts: impl IntoIterator<Item = Host>) -> Self {
        let hosts: HashSet<String> = frame_hosts.into_iter().map(Into::into).collect();
        let mut builder = ammonia::Builder::default();
        builder
            .add_tags(ELEMENTS)
            .add_tag_attributes("iframe", FRAME_ATTRIBUTES)
            .add_generic_attributes(["class"])
            .add_generic_attribute_prefixes(["data-"])
            .attribute_filter(move |element, attribute, value| match (element, attribute) {
                ("iframe", "src") => frame_source(value, &hosts).map(Cow::Owned),
                _ => Some(Cow::Borrowed(value)),
            });
        Self { builder }
    }

    fn clean<'a>(&self, html: &'a str, limits: &Limits) -> Result<Cow<'a, str>, Exceeded> {
        limits::within(Limit::Bytes, html.len(), limits.bytes)?;
        if is_plain(html) {
            return Ok(Cow::Borrowed(html));
        }
        if let Some(cleaned) = canonical::cleaned(html, limits)? {
            return Ok(cleaned);
        }
        self.thoroughly(html, limits).map(Cow::Owned)
    }

    /// Cleans by parser and writer, whatever the HTML looks like. It is within `limits`.
    fn thoroughly(&self, html: &str, limits: &Limits) -> Result<String, Exceeded> {
        let mut clean = self.once(html);
        for _ in 0..ROUNDS {
            limits::within(Limit::Result, clean.len(), limits.result)?;
            let survey = limits::survey(&clean, &Limits { bytes: limits.result, ..*limits })?;
            if is_plain(&clean) || survey.regular {
                return Ok(clean);
            }
            let again = self.once(&clean);
            if again == clean {
                return Ok(clean);
            }
            clean = again;
        }
        Err(Exceeded { limit: Limit::Rounds, found: ROUNDS.saturating_add(1), allowed: ROUNDS })
    }

    fn once(&self, html: &str) -> String {
        settle::settle(self.builder.clean(html).to_string())
    }
}

impl Default for Cleaner {
    fn default() -> Self {
        Self::new(FRAME_HOSTS)
    }
}

/// Cleans the HTML of one macro or script, within [`limits::MACRO`]. Text without `<` and `&` passes as it is. What
/// comes out is read by a browser as it is written, so that cleaning it again changes nothing.
///
/// # Errors
///
/// [`Exceeded`] when the HTML is over the limits, before it is parsed, or the result is.
pub fn clean<'a>(html: &'a str, cleaner: &Cleaner) -> Result<Cow<'a, str>, Exceeded> {
    cleaner.clean(html, &limits::MACRO)
}

/// Cleans as [`clean`] does, but never without the parser: what [`clean`] is held to.
///
/// # Errors
///
/// As for [`clean`].
pub fn clean_thoroughly(html: &str, cleaner: &Cleaner) -> Result<String, Exceeded> {
    limits::check(html, &limits::MACRO)?;
    cleaner.thoroughly(html, &limits::MACRO)
}

/// Cleans a page that an author wrote, as [`clean`] does but within [`limits::PAGE`].
///
/// # Errors
///
/// As for [`clean`].
pub fn clean_author<'a>(html: &'a str, cleaner: &Cleaner) -> Result<Cow<'a, str>, Exceeded> {
    cleaner.clean(html, &limits::PAGE)
}

/// Writes text so that it stands for itself, between tags and in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

fn is_plain(html: &str) -> bool {
    memchr::memchr2(b'<', b'&', html.as_bytes()).is_none()
}

/// The address of a frame in its one spelling, if it is one of the hosts' own pages: https, no port of its own, no
/// user. Anything that browsers read in more than one way is read here as the URL standard has it and written out anew.
fn frame_source(value: &str, hosts: &HashSet<String>) -> Option<String> {
    let scheme = value.get(..8)?;
    let url = Url::parse(value).ok().filter(|_| scheme.eq_ignore_ascii_case("https://"))?;
    let exact = url.port().is_none() && url.username().is_empty() && url.password().is_none();
    (exact && hosts.contains(url.host_str()?)).then(|| url.into())
}

#[cfg(test)]
mod tests;
