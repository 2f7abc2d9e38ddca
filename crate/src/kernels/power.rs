//! Powerpropagation (arXiv 2110.00296): the stored φ and the weight θ = φ·|φ|^(α−1) that the products use.

/// `θ = φ·|φ|^(α−1)`. Overwrites `theta`. α = 2 needs no power function.
pub fn power(phi: &[f32], theta: &mut [f32], alpha: f32) {
    assert_eq!(phi.len(), theta.len());
    if alpha == 2.0 {
        theta.iter_mut().zip(phi).for_each(|(theta, &phi)| *theta = phi * phi.abs());
    } else {
        theta.iter_mut().zip(phi).for_each(|(theta, &phi)| *theta = phi * phi.abs().powf(alpha - 1.0));
    }
}

/// `dφ = dθ·α·|φ|^(α−1)`, the Jacobian's diagonal applied. Overwrites `d_phi`. At φ = 0 it is 0 for α > 1: such a weight never moves.
pub fn gradient(phi: &[f32], d_theta: &[f32], d_phi: &mut [f32], alpha: f32) {
    assert_eq!(phi.len(), d_theta.len());
    assert_eq!(phi.len(), d_phi.len());
    let slots = d_phi.iter_mut().zip(phi).zip(d_theta);
    if alpha == 2.0 {
        slots.for_each(|((d_phi, &phi), &d_theta)| *d_phi = 2.0 * phi.abs() * d_theta);
    } else {
        slots.for_each(|((d_phi, &phi), &d_theta)| *d_phi = alpha * phi.abs().powf(alpha - 1.0) * d_theta);
    }
}

/// `dθ = dφ/(α·|φ|^(α−1))`: undoes [`gradient`]. Overwrites `d_theta`. Where the Jacobian is 0, dθ is not known and taken as 0: the weight cannot move.
pub fn theta_gradient(phi: &[f32], d_phi: &[f32], d_theta: &mut [f32], alpha: f32) {
    assert_eq!(phi.len(), d_phi.len());
    assert_eq!(phi.len(), d_theta.len());
    let slots = d_theta.iter_mut().zip(phi).zip(d_phi);
    slots.for_each(|((d_theta, &phi), &d_phi)| {
        let jacobian = if alpha == 2.0 { 2.0 * phi.abs() } else { alpha * phi.abs().powf(alpha - 1.0) };
        *d_theta = if jacobian > 0.0 { d_phi / jacobian } else { 0.0 };
    });
}
