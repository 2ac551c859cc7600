//! Logarithms of frequencies, the same on every machine.

/// The unit of logarithms, and of what is computed from them, is this part of a bit.
pub(crate) const BIT: u32 = 16;

/// The binary logarithm in units of [`BIT`]: a parabola between powers of two.
pub(crate) fn log2(number: u32) -> u32 {
    let whole = number.ilog2();
    // How far it is to the next power, in parts of 2^16.
    let rest = ((u64::from(number) << 16) >> whole) as u32 - (1 << 16);
    let bend = (((u64::from(rest) * u64::from((1 << 16) - rest)) >> 16) * 11 / 32) as u32;
    whole * BIT + (((rest + bend) * BIT) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms() {
        for number in (1..5000).chain([65_535, 65_536, 65_537, 100_000]) {
            let exact = f64::from(number).log2() * f64::from(BIT);
            assert!((exact - f64::from(log2(number))).abs() < 1.2, "{number}");
        }
    }
}
