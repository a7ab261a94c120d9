//! Peers of the same frame protocol and another version: what one adds the other passes over.

use prost::Message as _;

use crate::v1::{ClientFrame, Hello};

#[test]
fn what_a_newer_peer_adds_is_passed_over() {
    let mut bytes = Hello { protocol: 1, pid: 7, policy: "desk".into(), ..Hello::default() }.encode_to_vec();
    // Field 99, length-delimited: "new".
    bytes.extend([0x9a, 0x06, 3, b'n', b'e', b'w']);
    let read = Hello::decode(&bytes[..]).unwrap();
    assert_eq!((read.protocol, read.pid, read.policy.as_str()), (1, 7, "desk"));
    // A frame of a kind that is not known is a frame without content.
    assert_eq!(ClientFrame::decode(&[0x9a, 0x06, 0][..]).unwrap().frame, None);
}

#[test]
fn what_an_older_peer_leaves_out_is_empty() {
    assert_eq!(Hello::decode(&[][..]).unwrap(), Hello::default());
}
