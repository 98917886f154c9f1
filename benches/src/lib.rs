//! What chatcore costs, in answers to written questions: see `README.md`.
