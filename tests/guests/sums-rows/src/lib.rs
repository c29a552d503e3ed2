//! What the contract could have been: records handed over one by one, in a component that reads every byte and answers with a
//! checksum; and, to see what limits cost by themselves, the same in columns.

#[cfg(target_arch = "wasm32")]
#[path = "../../sums/src/checksum.rs"]
mod checksum;

#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, clippy::all)]
mod component {
    wit_bindgen::generate!({ path: "wit", world: "sums" });

    use super::checksum::{METADATA, checksum, joined};

    struct Component;

    impl Guest for Component {
        fn rows(rows: Vec<Row>) -> u64 {
            let payloads = checksum(rows.iter().map(|row| &row.payload[..]));
            let ids = checksum(rows.iter().map(|row| row.id.as_bytes()));
            let metadata = (0..METADATA.len()).map(|at| checksum(rows.iter().map(move |row| row.metadata[at].1.as_bytes())));
            metadata.fold(joined(payloads, ids), joined)
        }

        fn columns(columns: Vec<Column>) -> u64 {
            let sums = columns.iter().map(|Column { offsets, data }| {
                checksum(offsets.windows(2).map(|bounds| &data[bounds[0] as usize..bounds[1] as usize]))
            });
            sums.reduce(joined).unwrap_or_default()
        }
    }

    export!(Component);
}
