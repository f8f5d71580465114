//! Numbers in JSON text, and the decimal integers of MessagePack's extension type: from digits to Python objects.
//!
//! Printing numbers is the writers' business.

use super::MAX_DIGITS;
use super::fault::Fault;
use super::object::{self, Made};
use pyo3::Python;
use std::ffi::CString;

/// Powers of ten that a `f64` holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// A JSON number as it is being read.
struct Number<'a> {
    /// What is left behind the part that was read.
    rest: &'a [u8],
    negative: bool,
    /// The digits so far as a number; means nothing once there are more than 19.
    mantissa: u64,
    /// How many digits went into `mantissa`, leading zeros of a fraction among them.
    digits: usize,
}

/// Reads the JSON number at the start of `text`: the object, and what is left. `None` if there is no JSON number.
#[inline]
pub(super) fn number<'a, 'py>(py: Python<'py>, text: &'a [u8]) -> Option<(Made<'py>, &'a [u8])> {
    let (negative, rest) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let mut number = Number { rest, negative, mantissa: 0, digits: 0 };
    let leading_zero = rest.first() == Some(&b'0');
    number.take_digits();
    if number.digits == 0 || (leading_zero && number.digits > 1) {
        return None;
    }
    if let Some(b'.' | b'e' | b'E') = number.rest.first() {
        return fraction(py, text, number);
    }
    Some((integer(py, text, &number), number.rest))
}

impl Number<'_> {
    /// Takes all digits that come next.
    #[inline]
    fn take_digits(&mut self) {
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            self.mantissa = self.mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.digits += 1;
            self.rest = rest;
        }
    }
}

#[inline]
fn integer<'py>(py: Python<'py>, text: &[u8], number: &Number<'_>) -> Made<'py> {
    // 18 digits fit i64, whichever they are.
    if number.digits <= 18 {
        let value = number.mantissa.cast_signed();
        return object::signed(py, if number.negative { -value } else { value });
    }
    big(py, taken(text, number.rest))
}

/// The integer of `digits`, which are ASCII digits after a minus or not.
#[cold]
pub(super) fn big<'py>(py: Python<'py>, digits: &[u8]) -> Made<'py> {
    let shown = std::str::from_utf8(digits).unwrap_or_default();
    if let Ok(value) = shown.parse::<i64>() {
        return object::signed(py, value);
    }
    if let Ok(value) = shown.parse::<u64>() {
        return object::unsigned(py, value);
    }
    if digits.len() - usize::from(digits.starts_with(b"-")) > MAX_DIGITS {
        return Err(Fault::here(format!("an integer has more than {MAX_DIGITS} digits")));
    }
    let digits = CString::new(digits).map_err(|_| Fault::here("an integer has a zero byte"))?;
    object::big(py, &digits)
}

/// A number with a fraction, an exponent or both; `number` has its integer part.
#[inline]
fn fraction<'a, 'py>(
    py: Python<'py>,
    text: &'a [u8],
    mut number: Number<'a>,
) -> Option<(Made<'py>, &'a [u8])> {
    let mut exponent: i64 = 0;
    if let Some((b'.', rest)) = number.rest.split_first() {
        let before = number.digits;
        number.rest = rest;
        number.take_digits();
        let after = number.digits - before;
        if after == 0 {
            return None;
        }
        exponent = -i64::try_from(after).ok()?;
    }
    if let Some((b'e' | b'E', rest)) = number.rest.split_first() {
        let (negative, rest) = match rest.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, rest),
        };
        let mut power = Number { rest, negative, mantissa: 0, digits: 0 };
        power.take_digits();
        number.rest = power.rest;
        let size = match power.digits {
            0 => return None,
            1..=9 => power.mantissa.cast_signed(),
            // Only the slow way below may judge this one: it may have leading zeros.
            _ => i64::from(u32::MAX),
        };
        exponent += if power.negative { -size } else { size };
    }
    let rest = number.rest;
    let value = exact(&number, exponent).or_else(|| rounded(text, rest))?;
    if value.is_infinite() {
        return Some((Err(Fault::here("a number is too large for a float")), rest));
    }
    Some((object::float(py, value), rest))
}

/// The value if digits and power of ten are both exact as `f64`, so that one rounding of theirs is the right one.
#[inline]
fn exact(number: &Number<'_>, exponent: i64) -> Option<f64> {
    if number.digits > 19 || number.mantissa > 1 << 53 {
        return None;
    }
    let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    let mantissa = number.mantissa as f64;
    let size = if exponent < 0 { mantissa / power } else { mantissa * power };
    Some(if number.negative { -size } else { size })
}

/// The value by the standard library, which rounds correctly whatever the digits.
#[cold]
fn rounded(text: &[u8], rest: &[u8]) -> Option<f64> {
    std::str::from_utf8(taken(text, rest)).ok()?.parse().ok()
}

/// The part of `text` in front of `rest`, its end.
fn taken<'a>(text: &'a [u8], rest: &[u8]) -> &'a [u8] {
    text.get(..text.len() - rest.len()).unwrap_or(text)
}
