//! What holds for the project's own files: the layers of its folders, its documents, and the computed bound of memory.

mod documents;
mod layers;
mod memory_bound;
