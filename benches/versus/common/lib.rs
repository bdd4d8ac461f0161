//! What the comparisons have in common.

pub mod child;
pub mod figures;
pub mod machine;
pub mod opening;
pub mod own;
pub mod payloads;
pub mod rows;

#[path = "../../../tests/support/naive.rs"]
pub mod naive;
