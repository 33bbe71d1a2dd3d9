//! Declares enums that are stored and serialised as words. Used by the records for kinds, roles and the like.
//!
//! Invariant: a variant has the same word in the database and in the API. The words are part of the API's documented
//! format, so they never change.

/// An enum that is stored as words.
pub(crate) trait Words: 'static {
    const WORDS: &'static [&'static str];
}

/// Declares an enum with one word for each variant, and its conversions for Serde and Diesel.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = ::diesel::sql_types::Text)]
        pub enum $name { $($(#[$about])* $variant,)+ }

        impl $name {
            /// All variants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in the database and in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The variant with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|variant| variant.as_str() == word)
            }
        }

        impl $crate::base::words::Words for $name {
            const WORDS: &'static [&'static str] = &[$($word,)+];
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<Engine> ::diesel::serialize::ToSql<::diesel::sql_types::Text, Engine> for $name
        where
            Engine: ::diesel::backend::Backend,
            str: ::diesel::serialize::ToSql<::diesel::sql_types::Text, Engine>,
        {
            fn to_sql<'b>(&'b self, out: &mut ::diesel::serialize::Output<'b, '_, Engine>) -> ::diesel::serialize::Result {
                self.as_str().to_sql(out)
            }
        }

        impl<Engine> ::diesel::deserialize::FromSql<::diesel::sql_types::Text, Engine> for $name
        where
            Engine: ::diesel::backend::Backend,
            String: ::diesel::deserialize::FromSql<::diesel::sql_types::Text, Engine>,
        {
            fn from_sql(value: Engine::RawValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let word = <String as ::diesel::deserialize::FromSql<::diesel::sql_types::Text, Engine>>::from_sql(value)?;
                Self::from_word(&word).ok_or_else(|| format!("{word:?} is not a valid {}", stringify!($name)).into())
            }
        }
    };
}

pub(crate) use words;
