//! The figures of the bench `accuracy`: a bench without a harness has no place for tests of its own.

#[path = "../../benches/accuracy/figures.rs"]
mod figures;

use figures::compare;

/// A unit vector in the plane, by its angle in degrees, in three components.
fn at(degrees: f32) -> [f32; 3] {
    let (sin, cos) = degrees.to_radians().sin_cos();
    [cos, sin, 0.0]
}

#[test]
fn equal_vectors_have_no_error() {
    let vectors = [at(0.0), at(10.0), at(90.0)].concat();
    let figures = compare(&vectors, &vectors, 3);
    assert!((figures.cosine_mean - 1.0).abs() < 1e-6 && (figures.cosine_min - 1.0).abs() < 1e-6);
    assert_eq!((figures.pairs.count, figures.near_pairs.count, figures.nearest.count), (3, 1, 3));
    assert_eq!((figures.pairs.max, figures.pairs.bias), (0.0, 0.0));
}

#[test]
fn errors_are_those_of_the_pairs_that_the_oracle_says_are_near() {
    // The third turns by 60 degrees, away from the first two, which stay.
    let figures = compare(&[at(0.0), at(10.0), at(40.0)].concat(), &[at(0.0), at(10.0), at(100.0)].concat(), 3);
    assert!((figures.cosine_min - 0.5).abs() < 1e-6 && (figures.cosine_mean - 2.5 / 3.0).abs() < 1e-6);
    let cos = |degrees: f64| degrees.to_radians().cos();
    assert!((figures.pairs.max - (cos(40.0) - cos(100.0))).abs() < 1e-6, "{figures:?}");
    // Nearest to the third is the second; the first two have each other, and no error.
    assert!((figures.nearest.max - (cos(30.0) - cos(90.0))).abs() < 1e-6, "{figures:?}");
    assert_eq!(figures.nearest.p50, 0.0);
    assert!(figures.pairs.bias < -0.5 && figures.near_pairs.count == 3);
}
