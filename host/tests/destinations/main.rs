//! What happens to records where destinations go wrong: limits, receipts, delivery, grants. Real components, virtual time.

mod delivery;
mod grants;
mod limits;
mod raw;
mod receipts;
mod trial;
