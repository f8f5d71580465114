//! What stands in the page for a macro that failed. Whether it does is decided by the caller's `onError`.

use crate::worker::html::escape;

/// What stands there when nobody should see that something failed.
pub const EMPTY: &str = "";

/// A short text for the author to see, which names the macro as it was written and its status (`error`, `timeout` …).
pub fn marker(name: &str, status: &str) -> String {
    let (name, status) = (escape(name), escape(status));
    format!(
        "<span class=\"macro-error\" data-macro=\"{name}\" data-status=\"{status}\">macro {name}: {status}</span>"
    )
}

#[cfg(test)]
mod tests {
    use super::marker;
    use crate::worker::html;

    #[test]
    fn a_marker_names_the_macro_and_its_status() {
        assert_eq!(
            marker("Gallery", "timeout"),
            "<span class=\"macro-error\" data-macro=\"Gallery\" data-status=\"timeout\">macro Gallery: timeout</span>"
        );
    }

    #[test]
    fn a_marker_is_clean_whatever_it_names() {
        for name in ["gallery", "\"><script>alert(1)</script>", "a&b'c", "</span>", "\u{a0}"] {
            let marker = marker(name, name);
            let again = html::clean(&marker, &html::Cleaner::default()).unwrap().replace("&nbsp;", "\u{a0}");
            assert_eq!(again.matches('<').count(), 2, "{marker}");
            assert_eq!(
                again.split("macro ").last(),
                marker.split("macro ").last().map(|end| end.replace("&quot;", "\"")).as_deref()
            );
        }
    }
}
