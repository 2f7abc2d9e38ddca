//! Powerpropagation (arXiv 2110.00296): the stored φ and the weight θ = φ·|φ|^(α−1) that the products use.

use super::flush;

/// `θ = φ·|φ|^(α−1)`. Overwrites `theta`.
pub fn power(phi: &[f32], theta: &mut [f32], alpha: f32) {
    magnitudes_to(phi, theta, alpha);
    theta.iter_mut().zip(phi).for_each(|(theta, &phi)| *theta *= phi);
    flush(theta);
}

/// `dφ = dθ·α·|φ|^(α−1)`, the Jacobian's diagonal applied. Overwrites `d_phi`. At φ = 0 it is 0 for α > 1: such a weight never moves.
pub fn gradient(phi: &[f32], d_theta: &[f32], d_phi: &mut [f32], alpha: f32) {
    assert!(phi.len() == d_theta.len());
    magnitudes_to(phi, d_phi, alpha);
    d_phi.iter_mut().zip(d_theta).for_each(|(d_phi, &d_theta)| *d_phi = alpha * *d_phi * d_theta);
    flush(d_phi);
}

/// `dθ = dφ/(α·|φ|^(α−1))`: undoes [`gradient`]. Overwrites `d_theta`. Where the Jacobian is 0, dθ is not known and taken as 0: the weight cannot move.
pub fn theta_gradient(phi: &[f32], d_phi: &[f32], d_theta: &mut [f32], alpha: f32) {
    assert!(phi.len() == d_phi.len());
    magnitudes_to(phi, d_theta, alpha);
    d_theta.iter_mut().zip(d_phi).for_each(|(d_theta, &d_phi)| {
        let jacobian = alpha * *d_theta;
        *d_theta = if jacobian > 0.0 { d_phi / jacobian } else { 0.0 };
    });
}

/// Writes |φ|^(α−1). Whole exponents, those of the paper's α 2 to 5, take products; others the power function, ten times as long.
#[inline(never)] // once for all three
fn magnitudes_to(phi: &[f32], out: &mut [f32], alpha: f32) {
    fn each(phi: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
        assert!(phi.len() == out.len());
        out.iter_mut().zip(phi).for_each(|(out, &phi)| *out = f(phi.abs()));
    }
    match alpha {
        1.0 => each(phi, out, |_| 1.0),
        2.0 => each(phi, out, |p| p),
        3.0 => each(phi, out, |p| p * p),
        4.0 => each(phi, out, |p| p * p * p),
        5.0 => each(phi, out, |p| (p * p) * (p * p)),
        _ => each(phi, out, |p| p.powf(alpha - 1.0)),
    }
}
