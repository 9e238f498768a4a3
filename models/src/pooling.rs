//! Token vectors → one unit vector.

use crate::error::EmbedError;
use crate::manifest::Pooling;

/// Pools the first `length` token vectors of a row (`hidden` holds whole vectors of `width` components, one token after
/// the other) and scales the result to length one.
///
/// # Errors
/// [`EmbedError::BadVector`] when the row has fewer than `length` tokens, or the result has no direction.
pub(crate) fn pool(pooling: Pooling, hidden: &[f32], width: usize, length: usize) -> Result<Vec<f32>, EmbedError> {
    let Some(tokens) = hidden.get(..length * width) else {
        return Err(EmbedError::BadVector(format!(
            "{} values cannot hold {length} tokens of width {width}",
            hidden.len()
        )));
    };
    let mut vector = Vec::with_capacity(width);
    pool_onto(pooling, tokens, width, &mut vector)?;
    Ok(vector)
}

/// Pools token vectors (`tokens` holds whole ones of `width` components, one after the other), scales the result to
/// length one, and appends it to `vectors`.
///
/// # Errors
/// [`EmbedError::BadVector`] when there is no token, or the result has no direction.
pub(crate) fn pool_onto(
    pooling: Pooling,
    tokens: &[f32],
    width: usize,
    vectors: &mut Vec<f32>,
) -> Result<(), EmbedError> {
    let used = match pooling {
        Pooling::Mean => tokens,
        Pooling::Cls => &tokens[..width.min(tokens.len())],
    };
    if used.is_empty() {
        return Err(EmbedError::BadVector("no token to pool".into()));
    }
    // The mean's division is left out: the vector is scaled to length one anyway.
    let begin = vectors.len();
    vectors.resize(begin + width, 0.0);
    let sum = &mut vectors[begin..];
    for token in used.chunks_exact(width) {
        for (total, value) in sum.iter_mut().zip(token) {
            *total += value;
        }
    }
    normalise(sum)
}

/// Scales a vector to length one.
///
/// # Errors
/// [`EmbedError::BadVector`] for a vector with NaN or infinity, or too short to have a direction.
pub(crate) fn normalise(vector: &mut [f32]) -> Result<(), EmbedError> {
    // In f64, so that neither large nor small components overflow or vanish when squared.
    let squares: f64 = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    let norm = squares.sqrt();
    if !norm.is_finite() || norm < 1e-30 {
        return Err(EmbedError::BadVector(format!("its length is {norm}")));
    }
    for value in vector.iter_mut() {
        *value = (f64::from(*value) / norm) as f32;
    }
    Ok(())
}

/// Refuses what is no finite vector of `width` components and length one.
///
/// # Errors
/// [`EmbedError::BadVector`] says which of these it is.
pub(crate) fn check(vector: &[f32], width: usize) -> Result<(), EmbedError> {
    if vector.len() != width {
        return Err(EmbedError::BadVector(format!("{} components instead of {width}", vector.len())));
    }
    let squares: f64 = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    if squares.is_nan() || (squares - 1.0).abs() > 1e-3 {
        return Err(EmbedError::BadVector(format!("its length is {}", squares.sqrt())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_is_over_real_tokens_only() {
        let hidden = [1.0, 0.0, 0.0, 1.0, 9.0, 9.0];
        let pooled = pool(Pooling::Mean, &hidden, 2, 2).unwrap();
        let half = 0.5f32.sqrt();
        assert!((pooled[0] - half).abs() < 1e-6 && (pooled[1] - half).abs() < 1e-6);
        assert_eq!(pool(Pooling::Cls, &hidden, 2, 3).unwrap(), [1.0, 0.0]);
    }

    #[test]
    fn vectors_without_direction_are_refused() {
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert!(pool(Pooling::Mean, &bad, 2, 1).is_err(), "{bad:?}");
            assert!(check(&bad, 2).is_err(), "{bad:?}");
        }
        assert!(pool(Pooling::Mean, &[1.0], 2, 1).is_err());
        assert!(pool(Pooling::Mean, &[], 2, 0).is_err());
        assert!(check(&[1.0], 2).is_err());
        assert!(check(&[0.5, 0.5], 2).is_err());
    }

    #[test]
    fn huge_and_tiny_vectors_keep_their_direction() {
        for scale in [1e-25f32, 1e30] {
            let mut vector = [3.0 * scale, 4.0 * scale];
            normalise(&mut vector).unwrap();
            assert!((vector[0] - 0.6).abs() < 1e-6 && (vector[1] - 0.8).abs() < 1e-6);
        }
    }
}
