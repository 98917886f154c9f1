//! An input that fails, which can be saved and repeated.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crate::targets::Target;

/// An input on which a target panicked.
#[derive(Debug)]
pub struct Failure {
    /// The target's name.
    pub target: &'static str,
    /// The input.
    pub input: Vec<u8>,
    /// The message of the panic.
    pub message: String,
}

impl Failure {
    /// Writes the input to the folder for temporary files, and returns its path.
    ///
    /// # Errors
    /// If writing fails.
    pub fn save(&self) -> std::io::Result<PathBuf> {
        let hash = self.input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let path = std::env::temp_dir().join(format!("chatcore-fuzz-{}-{hash:016x}", self.target));
        std::fs::write(&path, &self.input)?;
        Ok(path)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = String::from_utf8_lossy(&self.input[..self.input.len().min(500)]);
        write!(f, "{} failed on {} bytes, {shown:?}: {}", self.target, self.input.len(), self.message)
    }
}

impl std::error::Error for Failure {}

/// Runs a target on one input, and returns its outcome.
pub(crate) fn execute(target: &Target, input: &[u8]) -> Result<u64, Failure> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failure {
            target: target.name,
            input: input.to_vec(),
            message: text.unwrap_or_else(|| "a panic without words".to_owned()),
        }
    })
}
