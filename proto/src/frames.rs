//! For fuzzing: whatever bytes come as a frame or a fault, reading them breaks nothing, and what was read is written as it was.

use prost::Message;
use tonic::{Code, Status};

use crate::v1::{CallToolRequest, ClientFrame, Fault, ServerFrame};

/// Reads `data` as each message that comes from the other side. False when something that was read is not written back as the same.
#[must_use]
pub fn read_for_fuzz(data: &[u8]) -> bool {
    fn same<M: Message + Default + PartialEq>(data: &[u8]) -> bool {
        M::decode(data).is_ok_and(|read| M::decode(read.encode_to_vec().as_slice()).is_ok_and(|again| again == read))
            || M::decode(data).is_err()
    }
    let fault = Fault::from_status(&Status::with_details(Code::Internal, "", data.to_vec().into()));
    // What a client shows always has a code, and an exit code that means something.
    let told = !fault.code.is_empty() && fault.exit_code() > 0;
    told && same::<ClientFrame>(data) && same::<ServerFrame>(data) && same::<CallToolRequest>(data) && same::<Fault>(data)
}
