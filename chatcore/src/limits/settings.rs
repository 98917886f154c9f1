//! Types of settings that state each name, default and description once.

/// Declares a struct of settings with public fields, a default and a chainable setter for each.
///
/// Each field is written as `name, with_name: Type = default;` below its documentation, to which the default is
/// added.
#[doc(hidden)]
#[macro_export]
macro_rules! __settings {
    (
        $(#[$about:meta])*
        pub struct $Settings:ident {
            $( $(#[$doc:meta])* $field:ident, $with:ident: $Type:ty = $default:expr; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct $Settings {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`.")]
                pub $field: $Type,
            )*
        }

        impl Default for $Settings {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $Settings {
            $(
                #[doc = concat!(
                    "Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field),
                    "); the default is `", stringify!($default), "`."
                )]
                #[must_use]
                pub fn $with(mut self, $field: $Type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}
