//! What the comparisons have in common.

pub mod child;
pub mod figures;
pub mod payloads;

#[path = "../../../tests/support/naive.rs"]
pub mod naive;
