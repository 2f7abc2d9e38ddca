//! Powerpropagation (arXiv 2110.00296): the stored φ and the weight θ = φ·|φ|^(α−1) that the products use.

/// `θ = φ·|φ|^(α−1)`. Overwrites `theta`.
pub fn power(phi: &[f32], theta: &mut [f32], alpha: f32) {
    assert_eq!(phi.len(), theta.len());
    with_power(alpha, |power: &dyn Fn(&[f32], &mut [f32])| {
        power(phi, theta);
        theta.iter_mut().zip(phi).for_each(|(theta, &phi)| *theta *= phi);
    });
}

/// `dφ = dθ·α·|φ|^(α−1)`, the Jacobian's diagonal applied. Overwrites `d_phi`. At φ = 0 it is 0 for α > 1: such a weight never moves.
pub fn gradient(phi: &[f32], d_theta: &[f32], d_phi: &mut [f32], alpha: f32) {
    assert_eq!(phi.len(), d_theta.len());
    assert_eq!(phi.len(), d_phi.len());
    with_power(alpha, |power: &dyn Fn(&[f32], &mut [f32])| {
        power(phi, d_phi);
        d_phi.iter_mut().zip(d_theta).for_each(|(d_phi, &d_theta)| *d_phi = alpha * *d_phi * d_theta);
    });
}

/// `dθ = dφ/(α·|φ|^(α−1))`: undoes [`gradient`]. Overwrites `d_theta`. Where the Jacobian is 0, dθ is not known and taken as 0: the weight cannot move.
pub fn theta_gradient(phi: &[f32], d_phi: &[f32], d_theta: &mut [f32], alpha: f32) {
    assert_eq!(phi.len(), d_phi.len());
    assert_eq!(phi.len(), d_theta.len());
    with_power(alpha, |power: &dyn Fn(&[f32], &mut [f32])| {
        power(phi, d_theta);
        d_theta.iter_mut().zip(d_phi).for_each(|(d_theta, &d_phi)| {
            let jacobian = alpha * *d_theta;
            *d_theta = if jacobian > 0.0 { d_phi / jacobian } else { 0.0 };
        });
    });
}

/// Hands over what writes |φ|^(α−1). Whole exponents, those of the paper's α 2 to 5, take products; others the power function, ten times as long.
fn with_power(alpha: f32, run: impl FnOnce(&dyn Fn(&[f32], &mut [f32]))) {
    fn each(f: impl Fn(f32) -> f32) -> impl Fn(&[f32], &mut [f32]) {
        move |phi, out| out.iter_mut().zip(phi).for_each(|(out, &phi)| *out = f(phi.abs()))
    }
    match alpha {
        1.0 => run(&each(|_| 1.0)),
        2.0 => run(&each(|p| p)),
        3.0 => run(&each(|p| p * p)),
        4.0 => run(&each(|p| p * p * p)),
        5.0 => run(&each(|p| (p * p) * (p * p))),
        _ => run(&each(|p| p.powf(alpha - 1.0))),
    }
}
