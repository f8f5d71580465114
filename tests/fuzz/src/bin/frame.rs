//! Any bytes as a frame of the pipe or a message of the zygote's socket: what is read is written, read again and the same.
//! What the node or the cell then makes of a frame is not looked at here.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::frame::cell::{
    Attempted, Call, Compile, Compiled, Complaint, Hello, Load, Loaded, Raised, Return, Skipped,
};
use protocol::frame::control::{FromZygote, ToZygote};
use protocol::frame::{self, HEADER, Header, LARGEST, Operation, ask};

/// Reads a body; if it is a `T`, its own bytes must be read as the same `T`.
fn survives<'a, T: serde::Serialize + serde::Deserialize<'a> + PartialEq + std::fmt::Debug>(
    header: Header,
    body: &'a [u8],
    again: &'a mut Vec<u8>,
) {
    let Ok(value) = frame::borrow::<T>(body) else { return };
    match frame::write(again, header.operation, header.sequence, &value) {
        // A body of short forms can be longer in the forms that we write.
        Err(frame::Error::TooLarge(_)) => return,
        written => written.expect("what was read can be written"),
    }
    let (head, rest) = again.split_first_chunk::<HEADER>().expect("a whole header");
    let head = Header::decode(*head).expect("a header of ours");
    assert_eq!((head.operation, head.sequence), (header.operation, header.sequence));
    assert_eq!(head.length as usize, rest.len());
    assert_eq!(frame::borrow::<T>(rest).as_ref(), Ok(&value));
}

fn control<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(body: &[u8]) {
    let Ok(value) = frame::read::<T>(body) else { return };
    let again = rmp_serde::to_vec_named(&value).expect("what was read can be written");
    assert_eq!(frame::read::<T>(&again).as_ref(), Ok(&value));
}

fuzz_target!(|data: &[u8]| {
    control::<ToZygote>(data);
    control::<FromZygote>(data);
    let Some((head, body)) = data.split_first_chunk::<HEADER>() else { return };
    let Ok(header) = Header::decode(*head) else { return };
    assert!(header.length as usize <= LARGEST);
    assert_eq!(header.encode(), *head);
    let again = &mut Vec::new();
    match header.operation {
        Operation::Load => survives::<Load>(header, body, again),
        Operation::Call => survives::<Call<'_>>(header, body, again),
        Operation::Compile => survives::<Compile>(header, body, again),
        Operation::Answer => survives::<ask::Answer<'_>>(header, body, again),
        Operation::Cancel => survives::<ask::Cancel>(header, body, again),
        Operation::Attempt => survives::<()>(header, body, again),
        Operation::Hello => survives::<Hello>(header, body, again),
        Operation::Loaded => survives::<Loaded>(header, body, again),
        Operation::Return => survives::<Return<'_>>(header, body, again),
        Operation::Raised => survives::<Raised>(header, body, again),
        Operation::Invalid | Operation::Refused => survives::<Complaint>(header, body, again),
        Operation::Skipped => survives::<Skipped>(header, body, again),
        Operation::Compiled => survives::<Compiled>(header, body, again),
        Operation::Ask => survives::<ask::Ask<'_>>(header, body, again),
        Operation::Drop => survives::<ask::Dropped>(header, body, again),
        Operation::Attempted => survives::<Attempted>(header, body, again),
    }
});
