//! Which file belongs to which script: by the id it claims, else by its place. A copy, whose id another file has, is a script of
//! its own.

use std::collections::{HashMap, HashSet};

use protocol::Id;

use super::super::disk::Script;

/// A file, and the id that it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its name.
    pub file: &'a str,
    /// What its metadata say, if that is an id.
    pub id: Option<Id>,
}

/// Who a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A script that is known.
    Known(Id),
    /// One that is not; with the id that it may have, if it brings one.
    New(Option<Id>),
}

/// The owner of each file, in the order of `claims`, which are in the order of their names.
#[must_use]
pub fn owners<'a>(scripts: impl Iterator<Item = &'a Script>, claims: &[Claim<'_>]) -> Vec<Owner> {
    let place =
        |script: &'a Script| script.base.as_ref().map_or(script.file.as_str(), |base| base.file.as_str());
    let places: HashMap<Id, (&str, bool)> =
        scripts.map(|script| (script.record.id, (place(script), script.gone))).collect();
    // Of several files with one id, the one in the script's place has it, else the first.
    let mut bearers: HashMap<Id, &str> = HashMap::new();
    for claim in claims {
        if let Some(id) = claim.id {
            let in_place = places.get(&id).is_some_and(|(place, _)| *place == claim.file);
            if in_place || !bearers.contains_key(&id) {
                bearers.insert(id, claim.file);
            }
        }
    }
    // Two scripts have one place if one of them was never written, or has no file any more; that one comes second.
    let mut by_place: HashMap<&str, (bool, Id)> = HashMap::new();
    for (id, (place, gone)) in places.iter().filter(|(id, _)| !bearers.contains_key(id)) {
        let first = by_place.entry(place).or_insert((*gone, *id));
        *first = (*first).min((*gone, *id));
    }
    let mut taken: HashSet<Id> = HashSet::new();
    let owner = |claim: &Claim<'_>| {
        let own = claim.id.filter(|id| bearers.get(id) == Some(&claim.file));
        match own {
            Some(id) if places.contains_key(&id) => Owner::Known(id),
            Some(id) => Owner::New(Some(id)),
            None => match by_place.get(claim.file) {
                Some((_, id)) if taken.insert(*id) => Owner::Known(*id),
                _ => Owner::New(None),
            },
        }
    };
    claims.iter().map(owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::file;

    fn id(n: u128) -> Id {
        Id::from(uuid::Uuid::from_u128(n))
    }

    fn script(n: u128, slug: &str) -> Script {
        let record = file::describe("default", slug, id(n), &file::parts(""), None);
        Script { record, metadata: String::new(), file: format!("{slug}.py"), base: None, gone: false }
    }

    fn owned(scripts: &[Script], claims: &[(&str, Option<u128>)]) -> Vec<Owner> {
        let claims: Vec<_> = claims.iter().map(|(file, n)| Claim { file, id: n.map(id) }).collect();
        owners(scripts.iter(), &claims)
    }

    #[test]
    fn a_file_belongs_to_the_script_whose_id_it_has_wherever_it_lies() {
        let scripts = [script(1, "a"), script(2, "b")];
        assert_eq!(
            owned(&scripts, &[("a.py", Some(2)), ("b.py", Some(1))]),
            [Owner::Known(id(2)), Owner::Known(id(1))]
        );
        assert_eq!(owned(&scripts, &[("c.py", Some(1))]), [Owner::Known(id(1))]);
    }

    #[test]
    fn a_copy_is_a_script_of_its_own_whichever_name_comes_first() {
        let scripts = [script(1, "b")];
        let found = owned(&scripts, &[("a.py", Some(1)), ("b.py", Some(1)), ("c.py", Some(1))]);
        assert_eq!(found, [Owner::New(None), Owner::Known(id(1)), Owner::New(None)]);
        assert_eq!(
            owned(&[], &[("a.py", Some(1)), ("b.py", Some(1))]),
            [Owner::New(Some(id(1))), Owner::New(None)]
        );
    }

    #[test]
    fn a_file_without_an_id_belongs_to_the_script_of_its_place() {
        let scripts = [script(1, "a")];
        assert_eq!(owned(&scripts, &[("a.py", None)]), [Owner::Known(id(1))]);
        assert_eq!(owned(&scripts, &[("b.py", None)]), [Owner::New(None)]);
        // The script itself has moved; what lies in its place now is another.
        assert_eq!(
            owned(&scripts, &[("a.py", None), ("b.py", Some(1))]),
            [Owner::New(None), Owner::Known(id(1))]
        );
        // A script that was copied over another one.
        let scripts = [script(1, "a"), script(2, "b")];
        assert_eq!(
            owned(&scripts, &[("a.py", Some(1)), ("b.py", Some(1))]),
            [Owner::Known(id(1)), Owner::Known(id(2))]
        );
    }
}
