//! Fast text building: integers and nanosecond times without the formatting machinery.

/// A byte buffer with the few ways of writing that Kineto JSON needs.
#[derive(Debug, Default)]
pub struct Text(pub Vec<u8>);

impl Text {
    /// Appends text as it is.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends a decimal integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.0.push(b'-');
        }
        self.0.extend_from_slice(&digits[at..]);
        self
    }

    /// Appends nanoseconds as microseconds with three decimals, the unit of `ts` and `dur`.
    pub fn us(&mut self, ns: i64) -> &mut Self {
        if ns < 0 {
            self.0.push(b'-');
        }
        let ns = ns.unsigned_abs();
        self.int((ns / 1000).cast_signed());
        let part = ns % 1000;
        self.0.extend_from_slice(&[
            b'.',
            b'0' + (part / 100) as u8,
            b'0' + (part / 10 % 10) as u8,
            b'0' + (part % 10) as u8,
        ]);
        self
    }

    /// Appends a JSON string with quotes and escapes.
    pub fn quoted(&mut self, text: &str) -> &mut Self {
        self.0.push(b'"');
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                0..0x20 => {
                    let hex = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
                    self.0.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                }
                _ => self.0.push(byte),
            }
        }
        self.0.push(b'"');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn numbers_and_strings_read_back() {
        let mut text = Text::default();
        text.int(-120).raw(" ").int(0).raw(" ").us(4_909_913_692_199_694).raw(" ").us(-1_005).raw(" ");
        text.quoted("a\"b\\c\n");
        assert_eq!(
            String::from_utf8(text.0).unwrap(),
            "-120 0 4909913692199.694 -1.005 \"a\\\"b\\\\c\\u000a\""
        );
    }
}
