//! Thin wrappers around the C API: making exact built-in objects, and looking into them without counting references.
//!
//! The codec's `unsafe` is here, but for `walk`, which calls [`next_entry`] and [`Sequence::item`] and says why it
//! may, `output`, which stores bytes where nothing was written before, and `scan`, which names instructions. What an
//! object means for a payload is not decided here.

use super::MAX_DEPTH;
use super::fault::{Done, Fault};
use pyo3::exceptions::{PyMemoryError, PyUnicodeDecodeError, PyUnicodeEncodeError};
use pyo3::types::{PyAnyMethods, PyDict, PyDictMethods, PyStringMethods, PyType, PyTypeMethods};
use pyo3::{Borrowed, Bound, PyAny, PyErr, Python, ffi};
use std::ffi::{CStr, c_char, c_int};
use std::ptr;

/// A new object, or why there is none.
pub(super) type Made<'py> = Result<Bound<'py, PyAny>, Fault>;

/// What an object is, for the types that are recognised at a glance: exactly these, not their subclasses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `str`
    Text,
    /// `int`
    Integer,
    /// `dict`
    Dict,
    /// `list`
    List,
    /// `float`
    Float,
    /// `True` or `False`
    Bool,
    /// `None`
    None,
    /// `tuple`
    Tuple,
    /// Anything else, subclasses of the above among it.
    Other,
}

/// The kind of `object`, by its exact type.
#[inline]
pub(super) fn kind(object: Borrowed<'_, '_, PyAny>) -> Kind {
    let pointer = object.as_ptr();
    // SAFETY: `pointer` is a live object; only the addresses of the type objects are used.
    let (of, text, integer, dict, list, float, bool, none, tuple) = unsafe {
        (
            ffi::Py_TYPE(pointer).cast_const(),
            &raw const ffi::PyUnicode_Type,
            &raw const ffi::PyLong_Type,
            &raw const ffi::PyDict_Type,
            &raw const ffi::PyList_Type,
            &raw const ffi::PyFloat_Type,
            &raw const ffi::PyBool_Type,
            ffi::Py_TYPE(ffi::Py_None()).cast_const(),
            &raw const ffi::PyTuple_Type,
        )
    };
    match () {
        () if ptr::eq(of, text) => Kind::Text,
        () if ptr::eq(of, integer) => Kind::Integer,
        () if ptr::eq(of, dict) => Kind::Dict,
        () if ptr::eq(of, list) => Kind::List,
        () if ptr::eq(of, float) => Kind::Float,
        () if ptr::eq(of, bool) => Kind::Bool,
        () if ptr::eq(of, none) => Kind::None,
        () if ptr::eq(of, tuple) => Kind::Tuple,
        () => Kind::Other,
    }
}

/// The kind of built-in type that `object`'s type derives from, or [`Kind::Other`].
pub(super) fn base_kind(object: Borrowed<'_, '_, PyAny>) -> Kind {
    let pointer = object.as_ptr();
    // SAFETY: `pointer` is a live object; the checks read flags of its type.
    unsafe {
        match () {
            () if ffi::PyUnicode_Check(pointer) != 0 => Kind::Text,
            () if ffi::PyLong_Check(pointer) != 0 => Kind::Integer,
            () if ffi::PyDict_Check(pointer) != 0 => Kind::Dict,
            () if ffi::PyList_Check(pointer) != 0 => Kind::List,
            () if ffi::PyFloat_Check(pointer) != 0 => Kind::Float,
            () if ffi::PyTuple_Check(pointer) != 0 => Kind::Tuple,
            () => Kind::Other,
        }
    }
}

/// Takes a new reference that a C function returned, or the error that it raised.
#[inline]
fn made(py: Python<'_>, pointer: *mut ffi::PyObject) -> Made<'_> {
    // SAFETY: callers pass the result of a C function that returns a new reference, or null with an error set.
    let object = unsafe { Bound::from_owned_ptr_or_opt(py, pointer) };
    object.ok_or_else(|| raised(&PyErr::fetch(py), py))
}

/// A `str` of `utf8`, which is checked.
#[inline]
pub(super) fn text<'py>(py: Python<'py>, utf8: &[u8]) -> Made<'py> {
    let start = utf8.as_ptr().cast::<c_char>();
    // SAFETY: a slice is never longer than isize::MAX bytes, all readable; the function copies them.
    made(py, unsafe { ffi::PyUnicode_FromStringAndSize(start, utf8.len().cast_signed()) })
}

/// An `int`.
#[inline]
pub(super) fn signed(py: Python<'_>, value: i64) -> Made<'_> {
    // SAFETY: takes any value.
    made(py, unsafe { ffi::PyLong_FromLongLong(value) })
}

/// An `int` that may be over `i64::MAX`.
#[inline]
pub(super) fn unsigned(py: Python<'_>, value: u64) -> Made<'_> {
    // SAFETY: takes any value.
    made(py, unsafe { ffi::PyLong_FromUnsignedLongLong(value) })
}

/// An `int` from decimal digits, after a minus or not.
pub(super) fn big<'py>(py: Python<'py>, digits: &CStr) -> Made<'py> {
    // SAFETY: a C string; the function may be asked not to report where it stopped.
    made(py, unsafe { ffi::PyLong_FromString(digits.as_ptr(), ptr::null_mut(), 10) })
        .map_err(|_| Fault::here("python refuses an integer of this many digits"))
}

/// A `float`.
#[inline]
pub(super) fn float(py: Python<'_>, value: f64) -> Made<'_> {
    // SAFETY: takes any value.
    made(py, unsafe { ffi::PyFloat_FromDouble(value) })
}

/// A `list` of `items`.
#[inline]
pub(super) fn list<'py>(py: Python<'py>, items: std::vec::Drain<'_, Bound<'py, PyAny>>) -> Made<'py> {
    // SAFETY: the length of a drain fits isize.
    let list = made(py, unsafe { ffi::PyList_New(items.len().cast_signed()) })?;
    for (index, item) in (0..).zip(items) {
        // SAFETY: `list` is a list of that length that nobody else has seen; no Python code runs while it is being
        // filled; the function takes over the item's reference, also when it fails.
        unsafe { ffi::PyList_SetItem(list.as_ptr(), index, item.into_ptr()) };
    }
    Ok(list)
}

/// An empty `dict`.
#[inline]
pub(super) fn dict(py: Python<'_>) -> Made<'_> {
    // SAFETY: takes nothing.
    made(py, unsafe { ffi::PyDict_New() })
}

/// `dict[key] = value`.
#[inline]
pub(super) fn insert(dict: &Bound<'_, PyAny>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> Done {
    // SAFETY: three live objects; the function checks that the first is a dict and counts its own references.
    let status = unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) };
    if status == 0 { Ok(()) } else { Err(raised(&PyErr::fetch(dict.py()), dict.py())) }
}

/// The UTF-8 of a `str` (or subclass), which keeps it alive.
#[inline]
pub(super) fn utf8<'a>(text: Borrowed<'a, '_, PyAny>) -> Result<&'a [u8], Fault> {
    let mut length = 0;
    // SAFETY: a live object; the function checks that it is a str.
    let start = unsafe { ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut length) };
    if start.is_null() {
        return Err(raised(&PyErr::fetch(text.py()), text.py()));
    }
    // SAFETY: the buffer belongs to the str, which never changes it, and the str lives for 'a.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length.cast_unsigned()) })
}

/// The value of an `int` (or subclass) that fits `i64`. No Python code runs.
#[inline]
pub(super) fn as_signed(object: Borrowed<'_, '_, PyAny>) -> Option<i64> {
    let mut overflow: c_int = 0;
    // SAFETY: a live object; for an int and its subclasses the function reads the digits and cannot fail.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// The value of an `int` (or subclass) that fits `u64`.
pub(super) fn as_unsigned(object: &Bound<'_, PyAny>) -> Option<u64> {
    // SAFETY: a live object; all ones may stand for an error, which is then taken away.
    let value = unsafe { ffi::PyLong_AsUnsignedLongLong(object.as_ptr()) };
    PyErr::take(object.py()).is_none().then_some(value)
}

/// The decimal digits of an `int` (or subclass) as a `str`. No code of a subclass runs.
pub(super) fn decimal<'py>(object: &Bound<'py, PyAny>) -> Made<'py> {
    // SAFETY: a live object; the base is one of those allowed.
    made(object.py(), unsafe { ffi::PyNumber_ToBase(object.as_ptr(), 10) })
}

/// The value of a `float` (or subclass). No code of a subclass runs.
#[inline]
pub(super) fn double(object: Borrowed<'_, '_, PyAny>) -> f64 {
    // SAFETY: a live object; for a float and its subclasses the function reads the value and cannot fail.
    unsafe { ffi::PyFloat_AsDouble(object.as_ptr()) }
}

/// Whether `object`, a `bool`, is `True`.
#[inline]
pub(super) fn truth(object: Borrowed<'_, '_, PyAny>) -> bool {
    // SAFETY: only the address of the singleton is used.
    ptr::eq(object.as_ptr(), unsafe { ffi::Py_True() })
}

/// How many entries a `dict` (or subclass) has. No code of a subclass runs.
#[inline]
pub(super) fn dict_size(dict: &Bound<'_, PyAny>) -> usize {
    // SAFETY: a live object; the function checks that it is a dict, and -1 is a size that no walk can reach.
    unsafe { ffi::PyDict_Size(dict.as_ptr()) }.cast_unsigned()
}

/// The entry of `dict` at or after `position`, which moves behind it. No code of a subclass runs, and it is safe on
/// a dict that changes in between.
///
/// # Safety
/// Only `dict` keeps the two objects alive: once Python code may have run, they must not be used any more.
#[inline]
pub(super) unsafe fn next_entry<'a, 'py>(
    dict: &'a Bound<'py, PyAny>,
    position: &mut isize,
) -> Option<(Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>)> {
    let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: a live object, checked to be a dict, and three places to write to; any position is allowed.
    let found = unsafe { ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) };
    if found == 0 {
        return None;
    }
    // SAFETY: the function found an entry, whose objects the dict keeps alive (for how long: see above).
    unsafe { Some((Borrowed::from_ptr(dict.py(), key), Borrowed::from_ptr(dict.py(), value))) }
}

/// The key at or after `position`, for the path of a fault: owned, so that it is good however it came to be there.
#[cold]
pub(super) fn key_at<'py>(dict: &Bound<'py, PyAny>, mut position: isize) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the key is owned before anything else happens.
    unsafe { next_entry(dict, &mut position) }.map(|(key, _)| key.to_owned())
}

/// A `list` or `tuple`, or a subclass of them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sequence<'a, 'py> {
    /// A `list`: it may change while it is walked.
    List(&'a Bound<'py, PyAny>),
    /// A `tuple`: it cannot.
    Tuple(&'a Bound<'py, PyAny>),
}

impl<'a, 'py> Sequence<'a, 'py> {
    /// How many items there are now. No code of a subclass runs.
    #[inline]
    pub(super) fn size(self) -> usize {
        // SAFETY: live objects; both functions check the type, and -1 is a size that no walk can reach.
        let size = unsafe {
            match self {
                Self::List(list) => ffi::PyList_Size(list.as_ptr()),
                Self::Tuple(tuple) => ffi::PyTuple_Size(tuple.as_ptr()),
            }
        };
        size.cast_unsigned()
    }

    /// The item at `index`, or `None` if there is none any more. No code of a subclass runs.
    ///
    /// # Safety
    /// Only the sequence keeps the item alive: once Python code may have run, it must not be used any more.
    #[inline]
    pub(super) unsafe fn item(self, index: usize) -> Option<Borrowed<'a, 'py, PyAny>> {
        let (Self::List(sequence) | Self::Tuple(sequence)) = self;
        let py = sequence.py();
        // SAFETY: live objects; both functions check type and bounds and return a borrowed reference.
        let pointer = unsafe {
            match self {
                Self::List(list) => ffi::PyList_GetItem(list.as_ptr(), index.cast_signed()),
                Self::Tuple(tuple) => ffi::PyTuple_GetItem(tuple.as_ptr(), index.cast_signed()),
            }
        };
        if pointer.is_null() {
            drop(PyErr::take(py));
            return None;
        }
        // SAFETY: not null, and the sequence keeps it alive (for how long: see above).
        Some(unsafe { Borrowed::from_ptr(py, pointer) })
    }
}

/// The fault for an exception that something raised: its type's name at most, never its text.
#[cold]
pub(super) fn raised(error: &PyErr, py: Python<'_>) -> Fault {
    if error.is_instance_of::<PyMemoryError>(py) {
        Fault::out_of_memory()
    } else if error.is_instance_of::<PyUnicodeDecodeError>(py) {
        Fault::here("a string is not valid UTF-8")
    } else if error.is_instance_of::<PyUnicodeEncodeError>(py) {
        Fault::here("a string has a lone surrogate")
    } else {
        Fault::here(format!("converting it raised {}", type_name(error.value(py).as_any())))
    }
}

/// How many containers a walk stands in, known to the interpreter too: code of a value may begin a walk of its own, and
/// all of them share one stack.
pub(super) struct Depth<'py> {
    py: Python<'py>,
    entered: usize,
}

impl<'py> Depth<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self { py, entered: 0 }
    }

    /// A container begins.
    #[inline]
    pub(super) fn enter(&mut self) -> Done {
        if self.entered == MAX_DEPTH {
            return Err(Fault::too_deep());
        }
        // SAFETY: a C string that lives for ever; each success is matched by one call in `leave` or `drop`.
        if unsafe { ffi::Py_EnterRecursiveCall(c" while converting a value".as_ptr()) } != 0 {
            return Err(raised(&PyErr::fetch(self.py), self.py));
        }
        self.entered += 1;
        Ok(())
    }

    /// A container ends.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.entered -= 1;
        // SAFETY: matches a success in `enter`.
        unsafe { ffi::Py_LeaveRecursiveCall() };
    }
}

impl Drop for Depth<'_> {
    fn drop(&mut self) {
        while self.entered > 0 {
            self.leave();
        }
    }
}

/// Whether `object`'s type is `class` or derives from it. No Python code runs.
pub(super) fn is_instance(object: &Bound<'_, PyAny>, class: &Bound<'_, PyType>) -> bool {
    // SAFETY: two live types; the function only reads their lists of bases.
    unsafe { ffi::PyType_IsSubtype(ffi::Py_TYPE(object.as_ptr()), class.as_type_ptr()) != 0 }
}

/// The module `name` if it has been imported. Nothing is imported.
pub(super) fn imported<'py>(py: Python<'py>, name: &str) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the interpreter's own dict of modules, borrowed and at once owned.
    let modules = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyImport_GetModuleDict()) }?;
    modules.cast_into::<PyDict>().ok()?.get_item(name).ok()?
}

/// The name of `object`'s type, cut: names are chosen by users.
#[cold]
pub(super) fn type_name(object: &Bound<'_, PyAny>) -> String {
    let name = object.get_type().name().ok();
    let name = name.and_then(|name| name.to_cow().map(|name| name.chars().take(64).collect()).ok());
    name.unwrap_or_else(|| "an object".to_owned())
}
