//! The primitives of Avro's binary encoding: zigzag varints, little-endian floats, sized bytes. Reading never trusts a
//! length.

/// Appends a number as a zigzag varint.
pub(in crate::codec) fn put_long(value: i64, bytes: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// Appends bytes after their length.
pub(super) fn put_bytes(value: &[u8], bytes: &mut Vec<u8>) {
    put_long(value.len() as i64, bytes);
    bytes.extend_from_slice(value);
}

/// Why a datum cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::codec) enum Broken {
    #[error("it ends too early")]
    Short,
    #[error("{0} bytes follow its end")]
    Long(usize),
    #[error("a number is longer than 64 bits")]
    Number,
    #[error("{0} does not fit the type")]
    Range(i64),
    #[error("{0} is no boolean")]
    Boolean(u8),
    #[error("{0} is no branch of a union")]
    Branch(i64),
    #[error("a length of {0}")]
    Length(i64),
    #[error("a string is not UTF-8")]
    Text,
}

/// A datum being read.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::codec) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub(in crate::codec) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Whether all was read.
    pub(super) fn end(self) -> Result<(), Broken> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Broken::Long(left)),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let (first, rest) = self.rest.split_first().ok_or(Broken::Short)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Broken> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Broken::Boolean(other)),
        }
    }

    pub(in crate::codec) fn long(&mut self) -> Result<i64, Broken> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Broken::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
            }
        }
        Err(Broken::Number)
    }

    /// A whole number of fewer bits.
    pub(super) fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, Broken> {
        let value = self.long()?;
        T::try_from(value).map_err(|_| Broken::Range(value))
    }

    pub(super) fn float(&mut self) -> Result<f32, Broken> {
        let bytes = self.take(4)?;
        Ok(f32::from_le_bytes(
            bytes.try_into().expect("four bytes were taken"),
        ))
    }

    pub(super) fn double(&mut self) -> Result<f64, Broken> {
        let bytes = self.take(8)?;
        Ok(f64::from_le_bytes(
            bytes.try_into().expect("eight bytes were taken"),
        ))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.long()?;
        let count = usize::try_from(length).map_err(|_| Broken::Length(length))?;
        self.take(count)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken::Text)
    }

    /// The number of items of the next block of an array or map; zero ends it. Every item takes a byte at least, so a
    /// count beyond the bytes at hand is a lie.
    pub(super) fn block(&mut self) -> Result<usize, Broken> {
        let mut count = self.long()?;
        if count < 0 {
            let size = self.long()?;
            if size < 0 {
                return Err(Broken::Length(size));
            }
            count = count.checked_neg().ok_or(Broken::Length(count))?;
        }
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or(Broken::Short)
    }
}
