//! What a node knows of the others, and who of them answers for all.
//!
//! Every node hears a question for all nodes. The one whose name comes first among those that live gathers at once and
//! answers after a quarter of a second; the next ones in order wait a tenth of a second longer each, and stay silent
//! when they hear that another gathers. If two gather, the first in order answers. So there is one answer, also just
//! after the first node has died.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::Id;
use protocol::actions::Role;
use protocol::channels::Channel as _;
use protocol::channels::supervisor_status::{
    Gathering, Member, NamedPool, Pool, Reply, Request, SupervisorStatus,
};
use protocol::heartbeat::{EVERY_MS, Heartbeat};
use tokio::sync::Notify;

use super::{Watched, status};

/// How long answers are gathered.
const WINDOW: Duration = Duration::from_millis(250);
/// How much longer than the one before it a node waits until it gathers itself.
const STEP: Duration = Duration::from_millis(100);
/// How many nodes may take over from each other.
const CANDIDATES: usize = 4;
/// A node whose last heartbeat is older is not waited for.
const LIVES: Duration = Duration::from_millis(3 * EVERY_MS);
/// A node whose last heartbeat is older is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// Most nodes that are known; what may be published by anyone must not fill the memory.
const MOST_NODES: usize = 4_096;
/// How long it is known who gathers for a question.
const QUESTION: Duration = Duration::from_secs(10);
/// Most questions of which that is known.
const MOST_QUESTIONS: usize = 1_024;

struct Seen {
    /// Without the names of what is warm, which nobody asks for here.
    beat: Heartbeat,
    /// Warm cells of the pool of scripts.
    warm: u32,
    at: Instant,
}

struct Question {
    at: Instant,
    /// Of those that gather the first in order.
    by: (String, Id),
}

/// What is known of other nodes.
#[derive(Default)]
pub struct Cluster {
    nodes: RefCell<HashMap<Id, Seen>>,
    questions: RefCell<HashMap<String, Question>>,
    /// Told when another node gathers.
    gathers: Notify,
    /// Told when a heartbeat is due before its time.
    beats: Rc<Notify>,
}

impl Cluster {
    /// Notes that another node lives. One that is new does not know this one: a heartbeat is due.
    pub fn hear(&self, mut beat: Heartbeat) {
        let mut nodes = self.nodes.borrow_mut();
        if beat.leaving {
            nodes.remove(&beat.id);
            return;
        }
        let now = Instant::now();
        let is_new = !nodes.contains_key(&beat.id);
        if is_new {
            nodes.retain(|_, seen| now.duration_since(seen.at) < FORGET);
        }
        let fits = beat.node.len() <= 64
            && beat.version.len() <= 64
            && beat.roles.len() <= 16
            && beat.pools.len() <= 16
            && beat.pools.iter().all(|pool| pool.name.len() <= 64);
        if !fits || (is_new && nodes.len() >= MOST_NODES) {
            return;
        }
        let elsewhere = beat.pools.iter().fold(0_u32, |sum, pool| sum.saturating_add(pool.warm));
        let warm = small(std::mem::take(&mut beat.warm).len()).saturating_sub(elsewhere);
        nodes.insert(beat.id, Seen { beat, warm, at: now });
        if is_new {
            self.beats.notify_one();
        }
    }

    /// Told when a heartbeat is due.
    #[must_use]
    pub fn beats(&self) -> Rc<Notify> {
        Rc::clone(&self.beats)
    }

    /// How many of the nodes that live come before `me`.
    fn before(&self, me: &(String, Id), now: Instant) -> usize {
        let nodes = self.nodes.borrow();
        let live = nodes.values().filter(|seen| now.duration_since(seen.at) < LIVES);
        live.filter(|seen| (&seen.beat.node, seen.beat.id) < (&me.0, me.1)).count()
    }

    /// The other nodes that live and run scripts, by id and name.
    #[must_use]
    pub fn workers(&self) -> Vec<(Id, String)> {
        let now = Instant::now();
        let nodes = self.nodes.borrow();
        let live = nodes.values().filter(|seen| now.duration_since(seen.at) < LIVES);
        let workers = live.filter(|seen| seen.beat.roles.contains(&Role::Worker));
        workers.map(|seen| (seen.beat.id, seen.beat.node.clone())).collect()
    }

    /// Notes that a node gathers.
    pub fn note_gathering(&self, gathering: Gathering) {
        let now = Instant::now();
        let by = (gathering.node, gathering.id);
        let mut questions = self.questions.borrow_mut();
        questions.retain(|_, question| now.duration_since(question.at) < QUESTION);
        let has_room = questions.len() < MOST_QUESTIONS;
        match questions.get_mut(&gathering.question) {
            Some(known) if known.by > by => known.by = by,
            None if has_room => {
                questions.insert(gathering.question, Question { at: now, by });
            }
            Some(_) | None => {}
        }
        drop(questions);
        self.gathers.notify_waiters();
    }

    /// The first in order of those that gather for this question.
    fn gatherer(&self, question: &str) -> Option<(String, Id)> {
        self.questions.borrow().get(question).map(|known| known.by.clone())
    }

    /// Whether somebody gathers for this question before `time` has passed.
    async fn somebody_gathers(&self, question: &str, time: Duration) -> bool {
        let heard = async {
            loop {
                let told = self.gathers.notified();
                if self.gatherer(question).is_some() {
                    return;
                }
                told.await;
            }
        };
        tokio::time::timeout(time, heard).await.is_ok()
    }

    /// All nodes by name: those that answered, and of the others what their last heartbeats said.
    fn members(&self, answers: Vec<Reply>, now: Instant) -> Vec<Member> {
        let nodes = self.nodes.borrow();
        let age = |id: &Id| nodes.get(id).map(|seen| crate::call::millis(now.duration_since(seen.at)));
        let mut members: HashMap<Id, Member> = HashMap::new();
        for answer in answers {
            let age = age(&answer.id);
            members.entry(answer.id).or_insert_with(|| of_answer(answer, age));
        }
        for (id, seen) in nodes.iter().filter(|(_, seen)| now.duration_since(seen.at) < FORGET) {
            members.entry(*id).or_insert_with(|| of_beat(seen, age(id)));
        }
        let mut members: Vec<Member> = members.into_values().collect();
        members.sort_by(|one, other| (&one.node, one.id).cmp(&(&other.node, other.id)));
        members
    }
}

fn of_answer(answer: Reply, beat_age_ms: Option<u64>) -> Member {
    let pool = answer.pool.as_ref();
    Member {
        node: answer.node,
        id: answer.id,
        version: answer.version,
        ready: answer.ready,
        answered: true,
        beat_age_ms,
        parts: answer.parts,
        places: pool.map(|pool| pool.places),
        free: pool.map(Pool::free),
        queued: pool.map(|pool| pool.queued),
        warm: pool.map(Pool::kept),
        pools: answer.pools.iter().map(NamedPool::room).collect(),
        roles: answer.roles,
    }
}

fn of_beat(Seen { beat, warm, .. }: &Seen, beat_age_ms: Option<u64>) -> Member {
    Member {
        node: beat.node.clone(),
        id: beat.id,
        version: beat.version.clone(),
        roles: beat.roles.clone(),
        ready: false,
        answered: false,
        beat_age_ms,
        parts: Vec::new(),
        places: beat.places,
        free: beat.free,
        queued: beat.queued,
        warm: beat.places.map(|_| *warm),
        pools: beat.pools.clone(),
    }
}

fn small(figure: usize) -> u32 {
    u32::try_from(figure).unwrap_or(u32::MAX)
}

/// What this node says to the others when it is for this one to gather their answers. `named` is whether the question asks
/// for it by name.
pub(super) async fn take(watched: &Watched, question: &str, named: bool) -> Option<Gathering> {
    let me = (watched.bus.node.clone(), watched.bus.id);
    let cluster = &watched.cluster;
    // One that stops has said so: the others count without it.
    if watched.leaving.get() && !named {
        return None;
    }
    if !named {
        let before = cluster.before(&me, Instant::now());
        let wait = STEP * u32::try_from(before).unwrap_or(u32::MAX).min(u32::from(u8::MAX));
        if before >= CANDIDATES || (before > 0 && cluster.somebody_gathers(question, wait).await) {
            return None;
        }
    }
    Some(Gathering { node: me.0, id: me.1, question: question.to_owned() })
}

/// Whether another node that gathers as well is to answer.
pub(super) fn gives_way(watched: &Watched, question: &str, named: bool) -> bool {
    let me = (watched.bus.node.clone(), watched.bus.id);
    !named && watched.cluster.gatherer(question).is_some_and(|by| by < me)
}

/// How all nodes are, if it is for this one to say. `named` is whether the question asks for it by name.
pub(super) async fn gather(watched: &Watched, question: &str, named: bool) -> Option<Vec<Member>> {
    let gathering = take(watched, question, named).await?;
    let asked = Request { gathering: Some(gathering), ..Request::default() };
    let mut answers: Vec<Reply> = watched.bus.gather(SupervisorStatus::NAME, &asked, WINDOW).await;
    if gives_way(watched, question, named) {
        return None;
    }
    // Its own may not have come in time, and it is here.
    answers.retain(|answer| answer.id != watched.bus.id);
    answers.push(status::of(watched));
    Some(watched.cluster.members(answers, Instant::now()))
}

#[cfg(test)]
mod tests {
    use protocol::heartbeat::Room;

    use super::*;

    fn room(name: &str) -> Room {
        Room { name: name.to_owned(), places: 4, free: 4, queued: 0, warm: 1 }
    }

    fn beat(node: &str) -> Heartbeat {
        Heartbeat {
            node: node.to_owned(),
            id: Id::generate(),
            version: "0".to_owned(),
            roles: Vec::new(),
            ready: true,
            leaving: false,
            places: Some(4),
            free: Some(3),
            queued: Some(0),
            pools: vec![room("actions")],
            warm: vec!["default/a".to_owned(), "essay.count".to_owned()],
        }
    }

    #[test]
    fn the_node_whose_name_comes_first_is_before_the_others_while_it_lives() {
        let cluster = Cluster::default();
        let first = beat("a");
        cluster.hear(first.clone());
        cluster.hear(beat("c"));
        let me = ("b".to_owned(), Id::generate());
        assert_eq!(cluster.before(&me, Instant::now()), 1);
        assert_eq!(cluster.before(&me, Instant::now() + LIVES), 0, "waits for a node that has gone silent");
        cluster.hear(Heartbeat { leaving: true, ..first });
        assert_eq!(cluster.before(&me, Instant::now()), 0, "waits for a node that has said that it goes");
    }

    #[test]
    fn a_node_that_does_not_answer_is_shown_with_its_last_heartbeat_until_it_is_forgotten() {
        let cluster = Cluster::default();
        cluster.hear(beat("a"));
        let members = cluster.members(Vec::new(), Instant::now());
        let shown: Vec<_> = members.iter().map(|m| (m.node.as_str(), m.answered, m.ready, m.warm)).collect();
        assert_eq!(shown, [("a", false, false, Some(1))]);
        assert!(members.iter().all(|member| member.beat_age_ms.is_some()));
        assert!(members.iter().all(|member| member.pools == [room("actions")]));
        assert!(cluster.members(Vec::new(), Instant::now() + FORGET).is_empty());
    }

    #[test]
    fn neither_nodes_nor_questions_fill_the_memory() {
        let cluster = Cluster::default();
        for _ in 0..MOST_NODES + 10 {
            cluster.hear(beat("a"));
        }
        assert_eq!(cluster.nodes.borrow().len(), MOST_NODES);
        let cluster = Cluster::default();
        cluster.hear(beat(&"a".repeat(65)));
        cluster.hear(Heartbeat { pools: vec![room("actions"); 17], ..beat("a") });
        cluster.hear(Heartbeat { pools: vec![room(&"a".repeat(65))], ..beat("a") });
        assert!(cluster.nodes.borrow().is_empty());
        for number in 0..MOST_QUESTIONS + 10 {
            let question = number.to_string();
            cluster.note_gathering(Gathering { node: "a".to_owned(), id: Id::generate(), question });
        }
        assert_eq!(cluster.questions.borrow().len(), MOST_QUESTIONS);
    }

    #[tokio::test]
    async fn of_two_that_gather_the_first_in_order_is_known() {
        let cluster = Cluster::default();
        assert!(!cluster.somebody_gathers("q", Duration::from_millis(1)).await);
        for node in ["b", "a", "c"] {
            let question = "q".to_owned();
            cluster.note_gathering(Gathering { node: node.to_owned(), id: Id::generate(), question });
        }
        assert!(cluster.somebody_gathers("q", Duration::from_secs(10)).await);
        assert_eq!(cluster.gatherer("q").map(|(node, _)| node).as_deref(), Some("a"));
        assert!(cluster.gatherer("another").is_none());
    }
}
