//! Histograms as JSON: the compressed form of HdrHistogram's logs (V2, base64), and the exact sum beside it.
//!
//! What is read again is equal to what was written, but for the order of the values, which a histogram does not know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer as Decoder, Serializer as _, V2DeflateSerializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Histogram;

#[derive(Serialize, Deserialize)]
struct Encoded {
    /// The exact sum of the values; a string, as JSON's readers know no numbers of that size.
    sum: String,
    /// All values.
    v2: String,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(self.counts(), &mut bytes)
            .map_err(|error| S::Error::custom(error.to_string()))?;
        let encoded = Encoded {
            sum: self.sum().to_string(),
            v2: STANDARD.encode(bytes),
        };
        encoded.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let encoded = Encoded::deserialize(deserializer)?;
        let sum = encoded
            .sum
            .parse()
            .map_err(|_| D::Error::custom("the sum is no number"))?;
        let bytes = STANDARD.decode(encoded.v2).map_err(D::Error::custom)?;
        let counts = Decoder::new()
            .deserialize(&mut &bytes[..])
            .map_err(|error| D::Error::custom(error.to_string()))?;
        Ok(Self::from_parts(counts, sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        for values in [&[][..], &[0], &[5, 5, 900, 1 << 50]] {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.record(*value));
            let text = serde_json::to_string(&histogram).expect("it can be written");
            let mut read: Histogram = serde_json::from_str(&text).expect("it can be read");
            assert_eq!(read.summary(), histogram.summary());
            read.record(7);
            histogram.record(7);
            assert_eq!(read.summary(), histogram.summary());
        }
        for damaged in [
            r#"{"sum": "x", "v2": ""}"#,
            r#"{"sum": "1", "v2": "?"}"#,
            r#"{"sum": "1", "v2": "AAAA"}"#,
        ] {
            assert!(
                serde_json::from_str::<Histogram>(damaged).is_err(),
                "{damaged}"
            );
        }
    }
}
