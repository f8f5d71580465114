//! Cells that ask the node what no honest one asks: each is ended, and nothing is asked for it.

use harness::model::Model;
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::json;

use super::{grant, rule};

/// Writes frames into the cell's own pipe, as bytecode of its own could do.
const BODY: &str = r"
import os, struct, time

def send(operation, body, sequence=2):
    os.write(3, struct.pack('<IBQ', len(body), operation, sequence) + body)

def text(value):
    return bytes([0xa0 + len(value)]) + value.encode()

def ask(*numbers, action='llm.complete', payload=b'\x80', sequence=2, more=b''):
    def frame(number):
        head = b'\x84' if more else b'\x83'
        body = head + text('ask') + bytes([number]) + text('action') + text(action)
        body += text('payload') + b'\xc6' + struct.pack('>I', len(payload)) + payload + more
        return struct.pack('<IBQ', len(body), 136, sequence) + body
    # All in one writing: no answer comes between them.
    os.write(3, b''.join(map(frame, numbers or [1])))

def notices(operation, count, length):
    one = b'\xda' + struct.pack('>H', length) + b'x' * length
    body = {130: b'\x83' + text('value') + b'\xc4\x02{}' + text('run') + b'\x01',
            131: b'\x83' + text('reason') + text('raised') + text('exception') + text('x')}[operation]
    send(operation, body + text('notices') + bytes([0x90 + count]) + one * count)

def main(case):
    if case == 'honest':
        ask()
    elif case == 'another action':
        ask(action='script.fetch')
    elif case == 'another call':
        ask(sequence=3)
    elif case == 'the call before':
        ask(sequence=1)
    elif case == 'too many':
        ask(*range(17))
    elif case == 'one number twice':
        ask(7, 7)
    elif case == 'too large':
        ask(payload=b'\xc6' + struct.pack('>I', (1 << 20) + 1) + bytes((1 << 20) + 1))
    elif case == 'more keys':
        ask(more=text('project') + text('other'))
    elif case == 'no body':
        send(136, b'\xc0')
    elif case == 'drop of another call':
        send(137, b'\x81' + text('ask') + b'\x01', 3)
    elif case == 'answers itself':
        send(4, b'\x80')
    elif case == 'cancels itself':
        send(5, b'\x80')
    elif case == 'six notices':
        notices(130, 6, 3)
    elif case == 'a long notice':
        notices(130, 1, 301)
    elif case == 'six notices and an exception':
        notices(131, 6, 3)
    time.sleep(3 if case != 'honest' else 0)
    return 'alive'
";

#[tokio::test]
async fn a_cell_that_asks_what_it_may_not_is_ended_and_nothing_is_asked_for_it() {
    let granted = script::asking("\"llm\"", &script::main("granted", BODY));
    let options = Options::new()
        .script("granted.py", granted)
        .script("plain.py", script::main("plain", BODY))
        .configured(&grant("granted"))
        .setting("WORKER__CIRCUIT_DEATHS", "0");
    let stage = Stage::with(options).await;
    let model = Model::start(&stage.client, rule).await;
    let cases = [
        "another action",
        "another call",
        "the call before",
        "one number twice",
        "too large",
        "more keys",
        "no body",
        "drop of another call",
        "answers itself",
        "cancels itself",
        "six notices",
        "a long notice",
        "six notices and an exception",
        "too many",
    ];
    for (slug, case) in [("plain", "honest")].into_iter().chain(cases.map(|case| ("granted", case))) {
        let answer = stage.client.call("utility.run", &json!({"script": slug, "input": case})).await;
        let found = (answer.code(), answer.body.pointer("/error/details/reason"));
        assert_eq!(found, ("PY_PROCESS_DOWN", Some(&json!("protocol"))), "{case}: {}", answer.body);
        assert!(answer.took.as_secs() < 3, "{case} was only noticed after its sleep");
    }
    // The one that may ask can do so by hand as well, and a cell that was ended leaves the next as it was.
    let answer = stage.client.call("utility.run", &json!({"script": "granted", "input": "honest"})).await;
    assert_eq!(answer.data()["result"], "alive");
    // What a call may ask may have been asked before the cell went too far, and nothing else.
    assert!(model.asked().len() <= 1 + 1 + 16, "{}", model.asked().len());
    assert!(model.asked().iter().all(|asked| asked.envelope["action"] == "llm.complete"));
    stage.close();
}
