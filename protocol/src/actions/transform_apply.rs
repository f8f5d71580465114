//! `transform.apply`: a post on its way in, changed by the enabled transforms of its project, one after the other.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Action, Role};
use crate::Id;
use crate::problem::Problem;

/// Most characters of a title, and of a source.
pub const LONGEST_TITLE: usize = 200;
/// Most bytes of a post's content.
pub const LARGEST_CONTENT: usize = 1 << 20;
/// Most tags, and most categories.
pub const MOST_TAGS: usize = 100;
/// Most characters of a tag or category.
pub const LONGEST_TAG: usize = 100;
/// Most bytes of an address.
pub const LONGEST_URL: usize = 2_048;
/// Most notices of all transforms together.
pub const MOST_NOTICES: usize = 20;

/// Names the types of `transform.apply`.
#[derive(Debug)]
pub struct TransformApply;

impl Action for TransformApply {
    const NAME: &'static str = "transform.apply";
    const ROLE: Role = Role::Worker;
    const TIMEOUT_MS: u64 = 30_000;
    type Request = Request<'static>;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TransformApplyRequest")]
pub struct Request<'a> {
    /// The post.
    #[serde(borrow, deserialize_with = "crate::raw::object")]
    pub post: Post<'a>,
    /// Where it comes from.
    #[serde(borrow, deserialize_with = "crate::raw::object")]
    pub context: Context<'a>,
}

/// A post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Post<'a> {
    /// At most 200 characters, none of them a control character.
    #[serde(borrow)]
    #[schemars(length(max = 200))]
    pub title: Cow<'a, str>,
    /// At most 1 MiB.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    /// At most 100 of at most 100 characters each.
    #[schemars(length(max = 100), inner(length(max = 100)))]
    pub tags: Vec<String>,
    /// At most 100 of at most 100 characters each.
    #[schemars(length(max = 100), inner(length(max = 100)))]
    pub categories: Vec<String>,
}

/// Where a post comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Context<'a> {
    /// What brought it, such as `bookmarklet`: at most 200 characters, none of them a control character.
    #[serde(borrow)]
    #[schemars(length(max = 200))]
    pub source: Cow<'a, str>,
    /// The page that it is about: http or https, without user info or fragment, at most 2,048 bytes.
    #[serde(borrow)]
    #[schemars(length(max = 2_048))]
    pub url: Cow<'a, str>,
    /// What `content` is written in; HTML is cleaned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// What a post's content is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PostFormat")]
pub enum Format {
    /// Markdown, or text.
    Markdown,
    /// HTML, which is cleaned by the allowlist of macros before the first transform and after each.
    Html,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TransformApplyReply")]
pub struct Reply {
    /// The post after the last transform that answered with a valid one.
    pub post: Post<'static>,
    /// The transforms that did, in their order.
    pub applied: Vec<Id>,
    /// Those that failed.
    pub errors: Vec<Error>,
    /// What transforms have to say, at most 20 in all.
    pub notices: Vec<Notice>,
}

/// A transform that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TransformError")]
pub struct Error {
    /// Which one.
    pub script_id: Id,
    /// Its name.
    pub slug: String,
    /// Why, without what the script wrote.
    pub message: String,
}

/// What a transform has to say to the post's author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TransformNotice")]
pub struct Notice {
    /// Which one.
    pub script_id: Id,
    /// At most 300 characters.
    pub text: String,
}

impl Post<'_> {
    /// Whether it keeps to its limits.
    ///
    /// # Errors
    /// What does not, under `path`.
    pub fn check(&self, path: &str) -> Result<(), Problem> {
        line(&self.title, &format!("{path}.title"))?;
        if self.content.len() > LARGEST_CONTENT {
            return Err(Problem::new(format!("{path}.content"), "expected at most 1 MiB"));
        }
        words(&self.tags, &format!("{path}.tags"))?;
        words(&self.categories, &format!("{path}.categories"))
    }

    /// The same post, with its own texts.
    #[must_use]
    pub fn into_owned(self) -> Post<'static> {
        Post {
            title: self.title.into_owned().into(),
            content: self.content.into_owned().into(),
            tags: self.tags,
            categories: self.categories,
        }
    }
}

impl Context<'_> {
    /// Whether it keeps to its limits.
    ///
    /// # Errors
    /// What does not, under `path`.
    pub fn check(&self, path: &str) -> Result<(), Problem> {
        line(&self.source, &format!("{path}.source"))?;
        let wrong = |problem: &str| Err(Problem::new(format!("{path}.url"), problem));
        if self.url.len() > LONGEST_URL {
            return wrong("expected at most 2,048 bytes");
        }
        let Ok(url) = Url::parse(&self.url) else { return wrong("expected an address") };
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return wrong("expected http:// or https:// and a host");
        }
        let authority = self.url.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '\\']).next());
        if authority.is_none_or(|authority| authority.contains('@')) {
            return wrong("expected an address without user or password");
        }
        if url.fragment().is_some() {
            return wrong("expected an address without a fragment");
        }
        Ok(())
    }
}

fn line(text: &str, path: &str) -> Result<(), Problem> {
    if text.chars().count() > LONGEST_TITLE || text.chars().any(char::is_control) {
        return Err(Problem::new(path, "expected at most 200 characters, none of them a control character"));
    }
    Ok(())
}

fn words(words: &[String], path: &str) -> Result<(), Problem> {
    if words.len() > MOST_TAGS {
        return Err(Problem::new(path, "expected at most 100 items"));
    }
    match words
        .iter()
        .position(|word| word.chars().count() > LONGEST_TAG || word.chars().any(char::is_control))
    {
        Some(place) => Err(Problem::new(
            format!("{path}[{place}]"),
            "expected at most 100 characters, none of them a control character",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Post<'static> {
        Post { title: "t".into(), content: "c".into(), tags: vec!["a".into()], categories: Vec::new() }
    }

    #[test]
    fn a_post_at_its_limits_passes_and_one_past_them_is_named() {
        let most = Post {
            title: "ä".repeat(LONGEST_TITLE).into(),
            content: "x".repeat(LARGEST_CONTENT).into(),
            tags: vec!["ü".repeat(LONGEST_TAG); MOST_TAGS],
            categories: vec![String::new(); MOST_TAGS],
        };
        assert_eq!(most.check("post"), Ok(()));
        for (past, path) in [
            (Post { title: "x".repeat(LONGEST_TITLE + 1).into(), ..post() }, "post.title"),
            (Post { title: "a\nb".into(), ..post() }, "post.title"),
            (Post { content: "x".repeat(LARGEST_CONTENT + 1).into(), ..post() }, "post.content"),
            (Post { tags: vec![String::new(); MOST_TAGS + 1], ..post() }, "post.tags"),
            (Post { tags: vec!["a".into(), "x".repeat(LONGEST_TAG + 1)], ..post() }, "post.tags[1]"),
            (Post { categories: vec!["\u{7}".into()], ..post() }, "post.categories[0]"),
        ] {
            assert_eq!(past.check("post").unwrap_err().path, path);
        }
    }

    #[test]
    fn only_plain_web_addresses_pass() {
        let check =
            |url: &str| Context { source: "s".into(), url: url.to_owned().into(), format: None }.check("c");
        for url in ["https://example.org/", "http://[::1]:8080/a?b=c", "https://bücher.example/ä"] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        let long = format!("https://example.org/{}", "x".repeat(LONGEST_URL));
        for url in [
            "",
            "example.org",
            "ftp://example.org/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://u@example.org/",
            "https://u:p@example.org/",
            "https://:p@example.org/",
            "https://@example.org/",
            "https://example.org/#part",
            "https://example.org/#",
            "http://",
            "https:///",
            "data:text/html,x",
            &long,
        ] {
            assert_eq!(check(url).unwrap_err().path, "c.url", "{url}");
        }
    }
}
