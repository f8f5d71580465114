//! Nodes killed while scripts are saved, and links swapped under them, in the long form; the suite `it` has the short one.

use std::time::Duration;

#[path = "../it/scripts/crashes.rs"]
pub(crate) mod crashes;
#[path = "../it/scripts/races.rs"]
mod races;

#[tokio::test]
async fn nothing_that_was_answered_for_is_lost_in_two_hundred_kills() {
    let _alone = super::alone().await;
    let count = crashes::rounds(200).await;
    println!("{count:?}");
    assert!(count.answered > 1_000 && count.torn > 50, "too little was going on: {count:?}");
}

#[tokio::test]
async fn nothing_outside_is_read_or_written_in_half_a_minute_of_swapping() {
    let _alone = super::alone().await;
    races::race(Duration::from_secs(30)).await;
}
