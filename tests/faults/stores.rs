//! Scripts under fire, in the long form: nodes killed and power cut while scripts are saved, and a folder whose parts are swapped
//! for links while it is read. The short forms are in `it/scripts`.

use std::time::Duration;

#[path = "../it/scripts/crashes.rs"]
mod crashes;
#[path = "power.rs"]
mod power;
#[path = "../it/scripts/races.rs"]
mod races;

#[tokio::test]
async fn nothing_that_was_answered_for_is_lost_in_two_hundred_kills() {
    let _alone = crate::alone().await;
    let count = crashes::rounds(200).await;
    println!("{count:?}");
    assert!(count.answered > 1_000 && count.torn > 50, "too little was going on: {count:?}");
}

#[tokio::test]
async fn nothing_outside_is_read_or_written_in_half_a_minute_of_swapping() {
    let _alone = crate::alone().await;
    races::race(Duration::from_secs(30)).await;
}
