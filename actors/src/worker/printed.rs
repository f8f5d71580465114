//! What a call prints, told to its caller while it runs. The cell keeps printed text on the page that it shares with the node;
//! here it is looked at now and then, so that a cell neither does more nor may do more because somebody listens. It is
//! never kept and never logged.

use std::time::Duration;

use protocol::Failure;
use protocol::frame::cell::Output;
use protocol::stream::Channel;

use super::job::Returned;
use super::pool::Pool;
use super::script::Key;
use crate::call::{Origin, Piece, Stream};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for a place among what is to be sent, once the call has ended.
const LAST: Duration = Duration::from_secs(1);

/// Waits for a call, and meanwhile tells what it prints, where its caller asks for that.
///
/// # Errors
/// Those of the call.
pub async fn follow(
    pool: &Pool,
    key: &Key,
    origin: &Origin,
    call: impl Future<Output = Result<Returned, Failure>>,
) -> Result<Returned, Failure> {
    let Some(stream) = &origin.stream else { return call.await };
    let mut told = Told::default();
    let mut call = std::pin::pin!(call);
    loop {
        tokio::select! {
            biased;
            ended = &mut call => {
                // What a call that failed had printed stands in its details, as a whole.
                if let Ok(returned) = &ended {
                    let _nobody_takes_it = tokio::time::timeout(LAST, told.rest(stream, &returned.output)).await;
                }
                return ended;
            }
            () = tokio::time::sleep(LOOK) => {
                if let Some(output) = pool.printed(key, origin) {
                    told.more(stream, &output);
                }
            }
        }
    }
}

/// How much of each text was told, in bytes.
#[derive(Default)]
struct Told {
    stdout: usize,
    stderr: usize,
}

impl Told {
    fn parts<'a>(&mut self, output: &'a Output) -> [(Channel, &'a str, &mut usize); 2] {
        let Self { stdout, stderr } = self;
        [(Channel::Stdout, output.stdout.as_str(), stdout), (Channel::Stderr, output.stderr.as_str(), stderr)]
    }

    /// Tells what is new, as far as there is room; the rest is told another time.
    fn more(&mut self, stream: &Stream, output: &Output) {
        for (channel, text, told) in self.parts(output) {
            let new = text.get(*told..).unwrap_or_default();
            if !new.is_empty() && stream.offer(Piece { channel, text: new.to_owned() }) {
                *told = text.len();
            }
        }
    }

    /// Tells the rest.
    async fn rest(&mut self, stream: &Stream, output: &Output) {
        for (channel, text, told) in self.parts(output) {
            let new = text.get(*told..).unwrap_or_default();
            if !new.is_empty() {
                stream.put(Piece { channel, text: new.to_owned() }).await;
                *told = text.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn printed(stdout: &str, stderr: &str) -> Output {
        Output { stdout: stdout.to_owned(), stderr: stderr.to_owned(), truncated: false }
    }

    #[actix_rt::test]
    async fn every_character_is_told_once_and_in_order_however_little_room_there_is() {
        let (pieces, mut waiting) = mpsc::channel(1);
        let (stream, mut told) = (Stream::new(pieces), Told::default());
        told.more(&stream, &printed("a\n", ""));
        // No room for these.
        told.more(&stream, &printed("a\nbö", "x"));
        let mut text = [String::new(), String::new()];
        let mut take = |waiting: &mut mpsc::Receiver<Piece>| {
            while let Ok(piece) = waiting.try_recv() {
                text[usize::from(piece.channel == Channel::Stderr)].push_str(&piece.text);
            }
        };
        take(&mut waiting);
        told.more(&stream, &printed("a\nböc", "x"));
        take(&mut waiting);
        let rest = printed("a\nböc\n", "xy");
        let rest = async { told.rest(&stream, &rest).await };
        let mut last = Vec::new();
        let ((), ()) = tokio::join!(rest, async {
            last.extend(waiting.recv().await);
            last.extend(waiting.recv().await);
        });
        for piece in last {
            text[usize::from(piece.channel == Channel::Stderr)].push_str(&piece.text);
        }
        assert_eq!(text, ["a\nböc\n", "xy"]);
    }

    #[actix_rt::test]
    async fn text_that_a_cell_has_made_shorter_is_not_told_twice() {
        let (pieces, mut waiting) = mpsc::channel(9);
        let (stream, mut told) = (Stream::new(pieces), Told::default());
        for text in ["abc", "a", "", "aö", "abcd"] {
            told.more(&stream, &printed(text, ""));
        }
        let mut text = String::new();
        while let Ok(piece) = waiting.try_recv() {
            text.push_str(&piece.text);
        }
        assert_eq!(text, "abcd");
    }
}
