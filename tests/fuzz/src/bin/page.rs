//! Any text as a page: it is rendered within its limits or refused, what comes out is clean (cleaning it again changes
//! nothing), and what stands for a macro is there as often as the page says. What HTML is clean at all is `html`'s business.

#![no_main]

use std::borrow::Cow;

use callboard::worker::content::Format::{Html, Markdown};
use callboard::worker::content::page::{Page, Piece, Place};
use callboard::worker::html::{self, Cleaner, limits};
use libfuzzer_sys::fuzz_target;

/// What stands in for macros: nothing that an author's text can make out of other things.
const PIECE: &str = "<b>\u{e000}</b>";

fuzz_target!(|content: &str| {
    let cleaner = Cleaner::default();
    // Text without markup passes as it is.
    if content.contains(['<', '&']) {
        let cleaned = html::clean(content, &cleaner).map(Cow::into_owned);
        assert_eq!(
            cleaned,
            html::clean_thoroughly(content, &cleaner),
            "the parser makes something else of it"
        );
    }
    if let Ok(clean) = html::clean(content, &cleaner) {
        let again = html::clean_author(&clean, &cleaner).expect("what is clean is within the limits");
        assert_eq!(clean, again, "cleaning it again changes it");
    }
    for format in [Markdown, Html] {
        let Ok(page) = Page::new(content, format, &cleaner) else { continue };
        let shown = page.macros().iter().filter(|placed| placed.place == Place::Text).count();
        let pieces = page.macros().iter().map(|_| Piece::Html(PIECE.to_owned())).collect();
        let Ok(html) = page.splice(pieces) else { continue };
        assert!(html.len() <= limits::PAGE.result);
        let found = html.matches(PIECE).count();
        let written = content.matches('\u{e000}').count();
        assert!(
            found >= shown.min(1) && (written > 0 || found >= shown),
            "{found} of {shown} macros in {html:?}"
        );
    }
});
