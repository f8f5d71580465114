//! Walks a Python value and says to a [`Sink`] what it is: the part of writing that both formats share.
//!
//! Exact built-in types are recognised at a glance and leaves are written without counting a reference. Everything
//! whose conversion needs Python code is decided in `convert`; such code may change any container that is being
//! walked, which ends in a problem at worst.

use super::convert::{self, Known};
use super::fault::{Done, Fault};
use super::object::{self, Depth, Kind, Sequence};
use super::output::Output;
use super::printed::{self, Printed};
use pyo3::types::{PyTuple, PyTupleMethods};
use pyo3::{Borrowed, Bound, PyAny};

/// What a format prints. No method may run Python code.
pub(super) trait Sink<'a> {
    /// `None`.
    fn none(&mut self) -> Done;
    /// `True` or `False`.
    fn bool(&mut self, value: bool) -> Done;
    /// An integer that fits `i64`.
    fn signed(&mut self, value: i64) -> Done;
    /// An integer over `i64::MAX` that fits `u64`.
    fn unsigned(&mut self, value: u64) -> Done;
    /// An integer beyond 64 bits, as its decimal digits.
    fn big(&mut self, digits: &[u8]) -> Done;
    /// A finite float.
    fn float(&mut self, value: f64) -> Done;
    /// A string, as UTF-8.
    fn text(&mut self, utf8: &[u8]) -> Done;
    /// A list of `length` items.
    fn begin_list(&mut self, length: usize) -> Done;
    /// An item or entry of a list or dict comes.
    fn item(&mut self, first: bool) -> Done;
    /// All its items have come.
    fn end_list(&mut self) -> Done;
    /// A dict of `length` entries.
    fn begin_dict(&mut self, length: usize) -> Done;
    /// The key of the entry that comes, after [`item`](Self::item); the value follows.
    fn key(&mut self, utf8: &[u8]) -> Done;
    /// An entry comes, with a key that [`key`](Self::key) has printed before.
    fn kept_key(&mut self, first: bool, printed: &Printed) -> Done;
    /// All its entries have come.
    fn end_dict(&mut self) -> Done;
    /// Where it is printed.
    fn output(&mut self) -> &mut Output<'a>;
}

/// Writes `value` to `sink`; `printed` are keys as its format prints them.
pub(super) fn walk<'a, S: Sink<'a>>(
    value: &Bound<'_, PyAny>,
    sink: S,
    printed: &'static printed::Cache,
) -> Done {
    let (known, depth) = (Known::new(value.py()), Depth::new(value.py()));
    let mut walk = Walk { sink, known, depth, keys: printed.open() };
    walk.value(value.as_borrowed())?;
    walk.sink.output().finish()
}

struct Walk<'py, S> {
    sink: S,
    known: Known<'py>,
    depth: Depth<'py>,
    keys: printed::Keys,
}

impl<'a, 'py, S: Sink<'a>> Walk<'py, S> {
    /// Writes a value that perhaps only its container keeps alive: what runs Python code must own it before.
    #[inline]
    fn value(&mut self, value: Borrowed<'_, 'py, PyAny>) -> Done {
        match object::kind(value) {
            Kind::Text => self.sink.text(object::utf8(value)?),
            Kind::Integer => self.integer(value),
            Kind::Float => self.float(value),
            Kind::Bool => self.sink.bool(object::truth(value)),
            Kind::None => self.sink.none(),
            kind => self.compound(value.to_owned(), kind),
        }
    }

    #[inline(never)]
    fn compound(&mut self, value: Bound<'py, PyAny>, kind: Kind) -> Done {
        match kind {
            Kind::Dict => self.dict(&value),
            Kind::List => self.sequence(Sequence::List(&value)),
            Kind::Tuple => self.sequence(Sequence::Tuple(&value)),
            _ => self.other(value),
        }
    }

    #[inline]
    fn integer(&mut self, value: Borrowed<'_, 'py, PyAny>) -> Done {
        match object::as_signed(value) {
            Some(value) => self.sink.signed(value),
            None => self.big(&value.to_owned()),
        }
    }

    fn big(&mut self, value: &Bound<'py, PyAny>) -> Done {
        match object::as_unsigned(value) {
            Some(value) => self.sink.unsigned(value),
            None => self.sink.big(object::utf8(self.known.digits(value)?.as_borrowed())?),
        }
    }

    #[inline]
    fn float(&mut self, value: Borrowed<'_, 'py, PyAny>) -> Done {
        let value = object::double(value);
        if value.is_finite() {
            return self.sink.float(value);
        }
        Err(Fault::here("NaN and infinities are not allowed"))
    }

    fn sequence(&mut self, items: Sequence<'_, 'py>) -> Done {
        self.depth.enter()?;
        let size = items.size();
        self.sink.begin_list(size)?;
        for index in 0..size {
            // SAFETY: `value` owns the item before it runs Python code, and the item is not used after it.
            let item = unsafe { items.item(index) }.ok_or_else(changed)?;
            self.sink.item(index == 0)?;
            self.value(item).map_err(|fault| fault.under_index(index))?;
        }
        if items.size() != size {
            return Err(changed());
        }
        self.depth.leave();
        self.sink.end_list()
    }

    fn dict(&mut self, dict: &Bound<'py, PyAny>) -> Done {
        self.depth.enter()?;
        let size = object::dict_size(dict);
        self.sink.begin_dict(size)?;
        let (mut position, mut written) = (0, 0);
        loop {
            let here = position;
            // SAFETY: `key` runs Python code only when it fails, `value` owns its argument before it does, and
            // neither object is used after it; the key for a path is looked up again.
            let Some((key, value)) = (unsafe { object::next_entry(dict, &mut position) }) else {
                break;
            };
            if written == size {
                return Err(changed());
            }
            self.key(written == 0, key)?;
            self.value(value).map_err(|fault| under_key_at(fault, dict, here))?;
            written += 1;
        }
        if written != size {
            return Err(changed());
        }
        self.depth.leave();
        self.sink.end_dict()
    }

    #[inline]
    fn key(&mut self, first: bool, key: Borrowed<'_, 'py, PyAny>) -> Done {
        match self.keys.find(key) {
            Some(printed) => self.sink.kept_key(first, printed),
            None => self.new_key(first, key),
        }
    }

    #[inline(never)]
    fn new_key(&mut self, first: bool, key: Borrowed<'_, 'py, PyAny>) -> Done {
        if object::base_kind(key) != Kind::Text {
            let name = object::type_name(&key.to_owned());
            return Err(Fault::here(format!("a key is not a string but {name}")));
        }
        let utf8 = object::utf8(key)?;
        self.sink.item(first)?;
        let before = self.sink.output().length();
        self.sink.key(utf8)?;
        self.keys.keep(key, self.sink.output().since(before));
        Ok(())
    }

    /// Any type that is not known at a glance.
    #[cold]
    #[inline(never)]
    fn other(&mut self, value: Bound<'py, PyAny>) -> Done {
        let value = self.known.enum_value(value)?;
        let kind = match object::kind(value.as_borrowed()) {
            Kind::Other => object::base_kind(value.as_borrowed()),
            _ => return self.value(value.as_borrowed()),
        };
        match kind {
            Kind::Text => return self.sink.text(object::utf8(value.as_borrowed())?),
            Kind::Integer => return self.integer(value.as_borrowed()),
            Kind::Float => return self.float(value.as_borrowed()),
            Kind::Dict => return self.dict(&value),
            Kind::List => return self.sequence(Sequence::List(&value)),
            Kind::Tuple => return self.sequence(Sequence::Tuple(&value)),
            Kind::Bool | Kind::None | Kind::Other => {}
        }
        if let Some(text) = self.known.text(&value)? {
            self.sink.text(object::utf8(text.as_borrowed())?)
        } else if let Some(fields) = self.known.fields(&value)? {
            self.fields(&value, &fields)
        } else {
            Err(convert::refusal(&value))
        }
    }

    /// The `fields` of a dataclass instance, as a dict.
    fn fields(&mut self, instance: &Bound<'py, PyAny>, fields: &Bound<'py, PyTuple>) -> Done {
        self.depth.enter()?;
        self.sink.begin_dict(fields.len())?;
        for (index, field) in fields.iter().enumerate() {
            let (name, value) = self.known.field(instance, &field)?;
            let name = name.as_borrowed();
            self.key(index == 0, name)?;
            let done = value.and_then(|value| self.value(value.as_borrowed()));
            done.map_err(|fault| fault.under_key(object::utf8(name).unwrap_or_default()))?;
        }
        self.depth.leave();
        self.sink.end_dict()
    }
}

#[cold]
fn changed() -> Fault {
    Fault::here("changed while it was being written")
}

#[cold]
fn under_key_at(fault: Fault, dict: &Bound<'_, PyAny>, position: isize) -> Fault {
    let key = object::key_at(dict, position);
    let utf8 = key.as_ref().and_then(|key| object::utf8(key.as_borrowed()).ok());
    fault.under_key(utf8.unwrap_or_default())
}
