//! The part of the conversion table that takes Python code: enums, dates, UUIDs, decimals, dataclasses, and the
//! refusal of all else.
//!
//! Classes of the standard library are looked for among the modules that are loaded; nothing is ever imported, since
//! an instance can only exist where its module does. Methods are those of the known class itself, not of a subclass,
//! but user code can still run (time zones, properties) and may do anything; all of it is called on owned objects.

use super::fault::Fault;
use super::object::{self, Kind, Made};
use super::{MAX_DEPTH, MAX_DIGITS};
use pyo3::types::{PyAnyMethods, PyByteArray, PyBytes, PyInt, PyMemoryView, PyString, PyTuple, PyType};
use pyo3::{Bound, PyAny, PyErr, PyResult, Python, intern};

/// More bits than any integer of [`MAX_DIGITS`] digits has, and few enough to be printed without delay.
const MAX_BITS: usize = MAX_DIGITS * 10 / 3;

/// A class of the standard library that the table names.
#[derive(Clone, Copy)]
enum Class {
    Enum,
    DateTime,
    Date,
    Uuid,
    Decimal,
}

/// The classes of the table as far as they were met during one write.
pub(super) struct Known<'py> {
    py: Python<'py>,
    classes: [Option<Bound<'py, PyType>>; 5],
}

/// A field's name, and its value unless that cannot be read.
pub(super) type Field<'py> = (Bound<'py, PyAny>, Made<'py>);

impl<'py> Known<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self { py, classes: [const { None }; 5] }
    }

    /// The value of an enum's member; anything else as it is.
    pub(super) fn enum_value(&mut self, mut value: Bound<'py, PyAny>) -> Made<'py> {
        for _ in 0..MAX_DEPTH {
            if self.class_of(&value, Class::Enum).is_none() {
                return Ok(value);
            }
            value = value.getattr(intern!(self.py, "value")).map_err(|error| self.raised(&error))?;
        }
        Err(Fault::here("an enum whose value is always another enum"))
    }

    /// The digits of an integer beyond 64 bits, as a `str`.
    pub(super) fn digits(&self, value: &Bound<'py, PyAny>) -> Made<'py> {
        let too_long = || Fault::here(format!("an integer has more than {MAX_DIGITS} digits"));
        let bits = self.py.get_type::<PyInt>().call_method1(intern!(self.py, "bit_length"), (value,));
        if !bits.and_then(|bits| bits.extract::<usize>()).is_ok_and(|bits| bits <= MAX_BITS) {
            return Err(too_long());
        }
        let digits = object::decimal(value).map_err(|_| too_long())?;
        let text = object::utf8(digits.as_borrowed())?;
        if text.strip_prefix(b"-").unwrap_or(text).len() > MAX_DIGITS { Err(too_long()) } else { Ok(digits) }
    }

    /// The string that stands for a date and time, a date, a UUID or a decimal; nothing for another type.
    pub(super) fn text(&mut self, value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>, Fault> {
        if let Some(class) = self.class_of(value, Class::DateTime) {
            return self.moment(&class, value).map(Some);
        }
        let text = if let Some(class) = self.class_of(value, Class::Date) {
            class.call_method1(intern!(self.py, "isoformat"), (value,))
        } else if let Some(class) = self.class_of(value, Class::Uuid) {
            class.call_method1(intern!(self.py, "__str__"), (value,))
        } else if let Some(class) = self.class_of(value, Class::Decimal) {
            let finite = class.call_method1(intern!(self.py, "is_finite"), (value,));
            if !finite.and_then(|finite| finite.is_truthy()).map_err(|error| self.raised(&error))? {
                return Err(Fault::here("NaN and infinities are not allowed"));
            }
            class.call_method1(intern!(self.py, "__str__"), (value,))
        } else {
            return Ok(None);
        };
        text.map(Some).map_err(|error| self.raised(&error))
    }

    /// A `datetime` as RFC 3339.
    fn moment(&self, class: &Bound<'py, PyType>, value: &Bound<'py, PyAny>) -> Made<'py> {
        let isoformat = intern!(self.py, "isoformat");
        let offset = class.call_method1(intern!(self.py, "utcoffset"), (value,));
        if offset.map_err(|error| self.raised(&error))?.is_none() {
            return Err(Fault::here("naive datetime: give it a timezone"));
        }
        let text = class.call_method1(isoformat, (value,)).map_err(|error| self.raised(&error))?;
        if ends_in_minutes(object::utf8(text.as_borrowed())?) {
            return Ok(text);
        }
        // RFC 3339 has no seconds in an offset, as zones had before there was standard time: the same moment in UTC.
        self.in_utc(class, value)
            .and_then(|moment| class.call_method1(isoformat, (moment,)))
            .map_err(|error| self.raised(&error))
    }

    fn in_utc(&self, class: &Bound<'py, PyType>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let module = object::imported(self.py, "datetime");
        let utc = module.map(|module| module.getattr("timezone")?.getattr("utc")).transpose()?;
        class.call_method1("astimezone", (value, utc))
    }

    /// The fields of a dataclass instance; nothing for another type.
    pub(super) fn fields(&self, value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyTuple>>, Fault> {
        let marked = value.get_type().hasattr(intern!(self.py, "__dataclass_fields__"));
        let Some(module) = object::imported(self.py, "dataclasses") else {
            return Ok(None);
        };
        if !marked.map_err(|error| self.raised(&error))? {
            return Ok(None);
        }
        let fields = module.call_method1(intern!(self.py, "fields"), (value,));
        let fields = fields.and_then(|fields| Ok(fields.cast_into::<PyTuple>()?));
        fields.map(Some).map_err(|error| self.raised(&error))
    }

    /// One of those fields.
    pub(super) fn field(
        &self,
        value: &Bound<'py, PyAny>,
        field: &Bound<'py, PyAny>,
    ) -> Result<Field<'py>, Fault> {
        let name = field.getattr(intern!(self.py, "name")).map_err(|error| self.raised(&error))?;
        if object::base_kind(name.as_borrowed()) != Kind::Text {
            return Err(Fault::here("a field whose name is not a string"));
        }
        let value = name.cast::<PyString>().map_err(PyErr::from).and_then(|name| value.getattr(name));
        let value = value.map_err(|error| self.raised(&error));
        Ok((name, value))
    }

    /// The class, if `value` is an instance of it.
    fn class_of(&mut self, value: &Bound<'py, PyAny>, class: Class) -> Option<Bound<'py, PyType>> {
        let place = self.classes.get_mut(class as usize)?;
        if place.is_none() {
            *place = loaded(self.py, class);
        }
        place.as_ref().filter(|class| object::is_instance(value, class)).cloned()
    }

    #[cold]
    fn raised(&self, error: &PyErr) -> Fault {
        object::raised(error, self.py)
    }
}

/// Why a value of no known type is refused.
pub(super) fn refusal(value: &Bound<'_, PyAny>) -> Fault {
    let bytes = value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>();
    if bytes {
        return Fault::here("bytes are not allowed");
    }
    Fault::here(format!("cannot convert {}", object::type_name(value)))
}

/// The class, if its module is loaded and has one of this name.
fn loaded(py: Python<'_>, class: Class) -> Option<Bound<'_, PyType>> {
    let (module, name) = match class {
        Class::Enum => ("enum", intern!(py, "Enum")),
        Class::DateTime => ("datetime", intern!(py, "datetime")),
        Class::Date => ("datetime", intern!(py, "date")),
        Class::Uuid => ("uuid", intern!(py, "UUID")),
        Class::Decimal => ("decimal", intern!(py, "Decimal")),
    };
    object::imported(py, module)?.getattr(name).ok()?.cast_into().ok()
}

/// Whether an ISO date and time ends in an offset of hours and minutes.
fn ends_in_minutes(text: &[u8]) -> bool {
    matches!(text, [.., b'+' | b'-', _, _, b':', _, _])
}
