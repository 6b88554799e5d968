# SPDX-License-Identifier: MIT
"""Prints what tests/unit/test_dirichlet.c expects, by NumPy and SciPy.

    python3 tools/dirichlet_reference.py

The parameters are those that maximize the likelihood, found by SciPy's general optimizer, not by the fixed
point that unseen uses."""
import numpy as np
from scipy import optimize, special, stats


def estimate(mean_log):
    def negative(log_alpha):
        alpha = np.exp(log_alpha)
        value = special.gammaln(alpha.sum()) - special.gammaln(alpha).sum() + (alpha - 1) @ mean_log
        slope = (special.digamma(alpha.sum()) - special.digamma(alpha) + mean_log) * alpha
        return -value, -slope

    found = optimize.minimize(negative, np.zeros(len(mean_log)), jac=True, method="L-BFGS-B",
                              options={"maxiter": 100000, "ftol": 1e-16, "gtol": 1e-13})
    log_alpha = found.x
    for _ in range(50):  # Newton's steps to full precision
        alpha = np.exp(log_alpha)
        gradient = special.digamma(alpha.sum()) - special.digamma(alpha) + mean_log
        hessian = special.polygamma(1, alpha.sum()) - np.diag(special.polygamma(1, alpha))
        log_alpha = np.log(alpha - np.linalg.solve(hessian, gradient))
    return np.exp(log_alpha)


print("digamma:")
for x in (1e-3, 0.1, 0.5, 1.0, 2.5, 9.99, 50.0, 1e5):
    print(f"    {{{x!r}, {special.digamma(x):.15e}}},")
for alpha in ([2.0, 5.0], [0.3, 0.2, 0.05], [30.0, 1.0, 2.0, 0.5], [0.02, 0.9, 0.02, 0.02, 0.02]):
    points = stats.dirichlet(alpha).rvs(40, random_state=np.random.default_rng(3))
    points = np.maximum(points, 1e-30)
    mean, mean_log = points.mean(0), np.log(points).mean(0)
    rows = (", ".join(f"{v:.17g}" for v in values) for values in (mean, mean_log, estimate(mean_log)))
    print(f"    {{{len(alpha)}, " + ",\n     ".join(f"{{{row}}}" for row in rows) + "},")
