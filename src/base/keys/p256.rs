//! Computes the public key of a private key on the curve P-256 (FIPS 186-5, SP 800-186). `ring` signs with such keys, but
//! takes a private key only together with its public key, and compares the two. So a mistake here stops the start and can
//! never produce a wrong signature. Called once per line of the key file, at the start.
//!
//! Numbers have four limbs, the lowest first. Points have Jacobian coordinates; numbers of the field are in Montgomery's
//! form, and a product is reduced as in CIOS (Koç, Acar, Kaliski 1996). The time depends on the key, which nobody can
//! measure from outside.
//!
//! Invariant: a number of the field is below the modulus.

type Limbs = [u64; 4];

/// The modulus of the field. Its negative inverse modulo 2^64 is 1.
const MODULUS: Limbs = [0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0, 0xffff_ffff_0000_0001];
/// The number of points.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// The base point.
const BASE: [Limbs; 2] = [
    [0xf4a1_3945_d898_c296, 0x7703_7d81_2deb_33a0, 0xf8bc_e6e5_63a4_40f2, 0x6b17_d1f2_e12c_4247],
    [0xcbb6_4068_37bf_51f5, 0x2bce_3357_6b31_5ece, 0x8ee7_eb4a_7c0f_9e16, 0x4fe3_42e2_fe1a_7f9b],
];

/// Whether the bytes are a private key: not 0, and below the number of points.
pub(super) fn is_private_key(bytes: &[u8; 32]) -> bool {
    *bytes != [0; 32] && *bytes < ORDER
}

/// The coordinates of the public key. The private key must satisfy [`is_private_key`].
pub(super) fn public_key(private: &[u8; 32]) -> [[u8; 32]; 2] {
    let base = BASE.map(Field::new);
    let bits = private.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    let mut point = Point::NEUTRAL;
    for bit in bits {
        point = point.doubled();
        if bit {
            point = point.plus(base);
        }
    }
    point.coordinates()
}

/// A number of the field, multiplied by 2^256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field(Limbs);

impl Field {
    const ZERO: Self = Self([0; 4]);

    fn new(number: Limbs) -> Self {
        // 2^512 modulo the modulus: Montgomery's product with it multiplies by 2^256.
        let mut factor = Self([1, 0, 0, 0]);
        for _ in 0..512 {
            factor = factor.plus(factor);
        }
        Self(number).times(factor)
    }

    fn plus(self, other: Self) -> Self {
        let mut sum = [0; 4];
        let mut carry = 0;
        for (place, (one, two)) in sum.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            (*place, carry) = add(one, two, carry);
        }
        Self(reduced(sum, carry))
    }

    fn minus(self, other: Self) -> Self {
        let (difference, borrow) = subtracted(self.0, other.0);
        if borrow == 0 {
            return Self(difference);
        }
        let mut sum = [0; 4];
        let mut carry = 0;
        for (place, (one, two)) in sum.iter_mut().zip(difference.into_iter().zip(MODULUS)) {
            (*place, carry) = add(one, two, carry);
        }
        Self(sum)
    }

    fn times(self, other: Self) -> Self {
        let mut product = [0_u64; 6];
        for limb in other.0 {
            let mut carry = 0;
            for (place, own) in product.iter_mut().zip(self.0) {
                (*place, carry) = multiply_add(own, limb, *place, carry);
            }
            (product[4], carry) = add(product[4], carry, 0);
            product[5] = carry;
            // Add the multiple of the modulus that clears the lowest limb, then drop that limb.
            let factor = product[0];
            let mut carry = 0;
            for (place, modulus) in product.iter_mut().zip(MODULUS) {
                (*place, carry) = multiply_add(factor, modulus, *place, carry);
            }
            (product[4], carry) = add(product[4], carry, 0);
            product[5] += carry;
            product.copy_within(1.., 0);
            product[5] = 0;
        }
        let [a, b, c, d, over, _] = product;
        Self(reduced([a, b, c, d], over))
    }

    fn squared(self) -> Self {
        self.times(self)
    }

    fn twice(self) -> Self {
        self.plus(self)
    }

    /// By Fermat's theorem: the power of the modulus less two.
    fn inverse(self) -> Self {
        let (exponent, _) = subtracted(MODULUS, [2, 0, 0, 0]);
        let mut power = Self::new([1, 0, 0, 0]);
        for bit in (0..256).rev() {
            power = power.squared();
            if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
                power = power.times(self);
            }
        }
        power
    }

    fn bytes(self) -> [u8; 32] {
        let Self(number) = self.times(Self([1, 0, 0, 0]));
        let mut bytes = [0; 32];
        for (place, limb) in bytes.chunks_exact_mut(8).zip(number.into_iter().rev()) {
            place.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }
}

#[derive(Debug, Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
}

impl Point {
    /// Any point with a third coordinate of 0.
    const NEUTRAL: Self = Self { x: Field::ZERO, y: Field::ZERO, z: Field::ZERO };

    /// The formula `dbl-2001-b` of the Explicit-Formulas Database.
    fn doubled(self) -> Self {
        let (delta, gamma) = (self.z.squared(), self.y.squared());
        let beta = self.x.times(gamma);
        let slope = self.x.minus(delta).times(self.x.plus(delta));
        let alpha = slope.twice().plus(slope);
        let beta_by_four = beta.twice().twice();
        let x = alpha.squared().minus(beta_by_four.twice());
        let z = self.y.plus(self.z).squared().minus(gamma).minus(delta);
        let y = alpha.times(beta_by_four.minus(x)).minus(gamma.squared().twice().twice().twice());
        Self { x, y, z }
    }

    /// Adds a point whose third coordinate is 1.
    fn plus(self, [x, y]: [Field; 2]) -> Self {
        if self.z == Field::ZERO {
            return Self { x, y, z: Field::new([1, 0, 0, 0]) };
        }
        let z_squared = self.z.squared();
        let across = x.times(z_squared).minus(self.x);
        let up = y.times(z_squared).times(self.z).minus(self.y);
        if across == Field::ZERO {
            return if up == Field::ZERO { self.doubled() } else { Self::NEUTRAL };
        }
        let (square, cube) = (across.squared(), across.squared().times(across));
        let middle = self.x.times(square);
        let sum_x = up.squared().minus(cube).minus(middle.twice());
        let sum_y = up.times(middle.minus(sum_x)).minus(self.y.times(cube));
        Self { x: sum_x, y: sum_y, z: self.z.times(across) }
    }

    fn coordinates(self) -> [[u8; 32]; 2] {
        let inverse = self.z.inverse();
        let square = inverse.squared();
        [self.x.times(square).bytes(), self.y.times(square).times(inverse).bytes()]
    }
}

/// A number of five limbs that is below twice the modulus, reduced.
fn reduced(number: Limbs, over: u64) -> Limbs {
    let (difference, borrow) = subtracted(number, MODULUS);
    if over >= borrow { difference } else { number }
}

fn subtracted(from: Limbs, number: Limbs) -> (Limbs, u64) {
    let mut difference = [0; 4];
    let mut borrow = 0;
    for (place, (one, two)) in difference.iter_mut().zip(from.into_iter().zip(number)) {
        let (less, is_below) = one.overflowing_sub(two);
        let (less, is_below_again) = less.overflowing_sub(borrow);
        *place = less;
        borrow = u64::from(is_below || is_below_again);
    }
    (difference, borrow)
}

fn add(one: u64, two: u64, carry: u64) -> (u64, u64) {
    split(u128::from(one) + u128::from(two) + u128::from(carry))
}

fn multiply_add(one: u64, two: u64, more: u64, carry: u64) -> (u64, u64) {
    split(u128::from(one) * u128::from(two) + u128::from(more) + u128::from(carry))
}

/// The low and the high half.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn split(number: u128) -> (u64, u64) {
    (number as u64, (number >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
    };

    use super::*;
    use crate::base::secret::random_bytes;

    fn is_pair(private: &[u8; 32]) -> bool {
        let [x, y] = public_key(private);
        let public = [&[4][..], &x, &y].concat();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, &public, &SystemRandom::new()).is_ok()
    }

    #[test]
    fn the_public_key_of_one_is_the_base_point() {
        let mut one = [0; 32];
        one[31] = 1;
        let [x, _] = public_key(&one);
        assert_eq!(x[..4], [0x6b, 0x17, 0xd1, 0xf2]);
    }

    #[test]
    fn ring_agrees_on_every_public_key() {
        for small in 1..=20 {
            let mut key = [0; 32];
            key[31] = small;
            assert!(is_pair(&key), "{small}");
        }
        let mut last = ORDER;
        for _ in 0..20 {
            last[31] -= 1;
            assert!(is_private_key(&last) && is_pair(&last), "{last:?}");
        }
        for _ in 0..200 {
            let key = random_bytes().unwrap();
            assert!(!is_private_key(&key) || is_pair(&key), "{key:?}");
        }
        assert!(!is_private_key(&ORDER) && !is_private_key(&[0; 32]) && !is_private_key(&[0xff; 32]));
    }
}
