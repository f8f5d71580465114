//! The rules for what a caller may set of a script.

use protocol::Problem;
use protocol::channels::{script_create, script_update::Changes};

const LONGEST_TITLE: usize = 200;
const LONGEST_WORD: usize = 100;
const MOST_WORDS: usize = 20;

/// A new script as changes of one that has nothing yet.
#[must_use]
pub fn of_new(request: script_create::Request) -> Changes {
    let script_create::Request {
        body,
        slug,
        title,
        kind,
        entrypoint,
        enabled,
        aliases,
        order,
        fresh,
        capabilities,
    } = request;
    Changes { slug, title, kind, entrypoint, enabled, aliases, order, fresh, capabilities, body: Some(body) }
}

/// Checks changes whose fields stand at `path`.
///
/// # Errors
/// The first field that breaks a rule.
pub fn check(changes: &Changes, path: &str) -> Result<(), Problem> {
    let refuse = |field: &str, problem: &str| Err(Problem::new(format!("{path}.{field}"), problem));
    let length = |text: &str, longest: usize| (1..=longest).contains(&text.chars().count());
    if changes.slug.as_ref().is_some_and(|slug| !length(slug, LONGEST_WORD)) {
        return refuse("slug", "expected 1 to 100 characters");
    }
    if let Some(title) = &changes.title
        && (!length(title, LONGEST_TITLE) || title.trim().is_empty() || title.contains(char::is_control))
    {
        return refuse("title", "expected 1 to 200 characters without control characters");
    }
    if changes.entrypoint.as_ref().is_some_and(|name| !length(name, LONGEST_WORD) || !is_identifier(name)) {
        return refuse("entrypoint", "expected the name of a function");
    }
    for (field, words) in [("aliases", &changes.aliases), ("capabilities", &changes.capabilities)] {
        let fits = |word: &String| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            length(word, LONGEST_WORD) && word.chars().all(plain)
        };
        if words.as_ref().is_some_and(|words| words.len() > MOST_WORDS || !words.iter().all(fits)) {
            return refuse(field, "expected at most 20 words of letters, digits, _, - and .");
        }
    }
    Ok(())
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_names_its_field() {
        let none = Changes::default;
        let words = |count: usize| Some(vec!["w".to_owned(); count]);
        for (changes, field) in [
            (Changes { slug: Some(String::new()), ..none() }, "slug"),
            (Changes { slug: Some("s".repeat(101)), ..none() }, "slug"),
            (Changes { title: Some(" ".into()), ..none() }, "title"),
            (Changes { title: Some("a\nb".into()), ..none() }, "title"),
            (Changes { title: Some("t".repeat(201)), ..none() }, "title"),
            (Changes { entrypoint: Some("a.b".into()), ..none() }, "entrypoint"),
            (Changes { entrypoint: Some("1a".into()), ..none() }, "entrypoint"),
            (Changes { aliases: words(21), ..none() }, "aliases"),
            (Changes { aliases: Some(vec!["a,b".into()]), ..none() }, "aliases"),
            (Changes { capabilities: Some(vec![String::new()]), ..none() }, "capabilities"),
        ] {
            assert_eq!(check(&changes, "payload").unwrap_err().path, format!("payload.{field}"));
        }
        let fine = Changes {
            slug: Some("Any thing".into()),
            title: Some("Größe \"1\"".into()),
            entrypoint: Some("größe_2".into()),
            aliases: words(20),
            ..none()
        };
        check(&fine, "payload").unwrap();
    }
}
