//! What follows the name of a variant, in either format.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, VariantAccess, Visitor};

/// Reads it with the reader that has read the name.
pub(crate) struct Variant<R>(pub(super) R);

impl<'de, R: Deserializer<'de>> VariantAccess<'de> for Variant<R> {
    type Error = R::Error;

    fn unit_variant(self) -> Result<(), R::Error> {
        <()>::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, R::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, R::Error> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, R::Error> {
        self.0.deserialize_any(visitor)
    }
}
