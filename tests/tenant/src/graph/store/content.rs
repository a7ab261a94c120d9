//! The bytes of files and attachments: given, generated from a seed, or mostly zero and as long as one likes.

use bytes::Bytes;

use super::hash;
use crate::seed::prose;

/// How far apart the numbers in a sparse file lie.
const BLOCK: u64 = 1 << 20;

/// Bytes that are generated when asked for, or that somebody gave.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// `length` bytes from a seed; readable text or noise.
    Seeded { seed: u64, length: u64, text: bool },
    /// As uploaded.
    Given(Bytes),
    /// Zeros, but for the number of each block (eight bytes, big end first) at its beginning.
    Sparse { length: u64 },
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Seeded { length, .. } | Self::Sparse { length } => *length,
            Self::Given(bytes) => bytes.len() as u64,
        }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        match self {
            Self::Given(bytes) => bytes.clone(),
            Self::Sparse { length } => self.slice(0, *length),
            Self::Seeded { seed, length, text } => {
                let length = usize::try_from(*length).unwrap_or(0);
                let mut out = Vec::with_capacity(length + 512);
                if *text {
                    let mut round = *seed;
                    while out.len() < length {
                        for paragraph in prose::paragraphs(round, (length - out.len()).min(65_536), true) {
                            out.extend_from_slice(paragraph.as_bytes());
                            out.push(b'\n');
                        }
                        round = crate::seed::prng::mix(round);
                    }
                } else {
                    let mut prng = crate::seed::prng::Prng::new(*seed, "noise");
                    while out.len() < length {
                        out.extend_from_slice(&prng.next().to_le_bytes());
                    }
                }
                out.truncate(length);
                Bytes::from(out)
            }
        }
    }

    /// The bytes from `from` up to `to`, made without making the others where that can be.
    pub(crate) fn slice(&self, from: u64, to: u64) -> Bytes {
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let Self::Sparse { length } = self else {
            let whole = self.bytes();
            let to = size(to).min(whole.len());
            return whole.slice(size(from).min(to)..to);
        };
        let to = to.min(*length);
        let from = from.min(to);
        let mut out = vec![0; size(to - from)];
        for (at, byte) in stamps(from / BLOCK * BLOCK, to).filter(|(at, _)| (from..to).contains(at)) {
            out[size(at - from)] = byte;
        }
        Bytes::from(out)
    }

    /// Its `quickXorHash`.
    pub(crate) fn quick_xor(&self) -> String {
        match self {
            Self::Sparse { length } => hash::quick_xor_sparse(*length, stamps(0, *length).filter(|(at, _)| at < length)),
            other => hash::quick_xor(&other.bytes()),
        }
    }
}

/// The bytes that are not zero in a sparse file, from a block's beginning on, with their places.
fn stamps(from: u64, to: u64) -> impl Iterator<Item = (u64, u8)> {
    (from / BLOCK..to.div_ceil(BLOCK)).flat_map(|block| (block * BLOCK..).zip(block.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_parts_of_the_whole() {
        let length = 3 * BLOCK + 5;
        for content in [Content::Sparse { length }, Content::Seeded { seed: 7, length: 70_000, text: true }] {
            let whole = content.bytes();
            assert_eq!(whole.len() as u64, content.len());
            assert_eq!(content.quick_xor(), hash::quick_xor(&whole));
            let end = content.len();
            for (from, to) in [(0, 9), (BLOCK - 3, BLOCK + 12), (BLOCK + 7, 2 * BLOCK + 8), (end - 4, end), (end - 1, end + 9), (9, 9)] {
                let (a, b) = ((from as usize).min(whole.len()), (to as usize).min(whole.len()));
                assert_eq!(content.slice(from, to), whole.slice(a.min(b)..b), "{from}..{to}");
            }
        }
        assert_eq!(Content::Sparse { length }.slice(2 * BLOCK + 7, 2 * BLOCK + 8)[0], 2);
    }
}
