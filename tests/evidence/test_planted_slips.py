"""Slips of students in fourteen programs: every one is found and named, and no correct equation is accused."""

import math
from typing import Any

import numpy as np
import pytest
from marks import slow_except
from student_programs import PROGRAMS

import jaxmlp
from jaxmlp.evidence.numpy_check import verify_numpy as module
from jaxmlp.evidence.numpy_check.common_mistakes import UNKNOWN_CAUSE

verify_numpy: Any = module.verify_numpy  # reports are taken apart without asking for None first

# program: the line, what stands there in its place, and the cause that should be named
SLIPS: dict[str, list[tuple[str, str, str]]] = {
    "PLANAR": [
        ("dW2 = np.dot(dZ2, A1.T) / m", "dW2 = np.dot(dZ2, A1.T) / m * 2", "factor 2"),
        ("db1 = np.sum(dZ1, axis=1, keepdims=True) / m", "db1 = np.sum(dZ1, axis=1, keepdims=True) * 4 / m", "factor 4"),
        ("dZ2 = A2 - Y", "dZ2 = 2 * (A2 - Y)", "factor 2"),
        ("dZ2 = A2 - Y", "dZ2 = Y - A2", "wrong sign"),
        ("dZ2 = A2 - Y", "dZ2 = A2 * (1 - A2) * (A2 - Y)", "g' applied to a cross-entropy"),
        ("dZ2 = A2 - Y", "dZ2 = (A2 - Y) * (Z2 > 0)", "mask of relu at the output"),
        ("dZ2 = A2 - Y", "dZ2 = (A2.T - Y.ravel()).sum(axis=1)[None]", "labels that broadcast"),
        ("dZ2 = A2 - Y", "dZ2 = (A2 > 0.5) - Y", "decision in place of A"),
        ("dZ2 = A2 - Y", "dZ2 = -(Y / (A2 + 1e-8) - (1 - Y) / (1 - A2 + 1e-8)) * A2 * (1 - A2)", "right to 7 digits"),
        ("dZ2 = A2 - Y", "dZ2 = -Y / A2 * A2 * (1 - A2)", "first term of the cost only"),
        ("np.dot(W2.T, dZ2)", "np.dot(dW2.T, dZ2)", "dW in place of W"),
        ("np.dot(W2.T, dZ2)", "dZ2", "W missing"),
        ("np.dot(W2.T, dZ2)", "np.dot((W2 - 0.1 * dW2).T, dZ2)", "W updated before it is used"),
        ("(1 - np.power(A1, 2))", "(1 - A1)", "square missing in tanh'"),
        ("(1 - np.power(A1, 2))", "(1 - np.power(Z1, 2))", "g' formula in A, evaluated at Z"),
        ("(1 - np.power(A1, 2))", "A1 * (1 - A1)", "sigmoid' in place of tanh'"),
        ("np.dot(W2.T, dZ2) * (1 - np.power(A1, 2))", "np.dot(W2.T, dZ2) @ (1 - A1.T @ A1)", "matrix product in g'"),
        ("* (1 - np.power(A1, 2))", "* (1 - np.power(A2, 2))", "slope of another layer"),
        ("A1 = np.tanh(Z1)", "A1 = 1 / (1 + np.exp(-Z1))", "sigmoid in place of tanh"),
        ("A1 = np.tanh(Z1)", "A1 = np.maximum(0, Z1)", "relu in place of tanh"),
        ("Z1 = np.dot(W1, X) + b1", "Z1 = np.dot(W1, X)", "bias missing in the forward pass"),
        ("m = X.shape[1]", "m = X.shape[1] - 1", "division by m - 1"),
        ("cost = -np.sum(logprobs) / m", "cost = np.sum(logprobs) / m", "wrong sign"),
        ("cost = -np.sum(logprobs) / m", "cost = -np.sum(logprobs)", "sum in place of mean"),
        ("+ np.multiply(np.log(1 - A2), 1 - Y)", "", "one term only"),
        ("np.multiply(np.log(A2), Y) +", "-np.multiply(np.log(A2), Y) +", "sign of one term"),
        ("cost = -np.sum(logprobs) / m", "cost = -np.sum(logprobs) / m / np.log(10)", "log10 in place of ln"),
        ("np.multiply(np.log(A2), Y)", "np.multiply(np.log(A2).T, Y)", "labels that broadcast"),
        ("np.multiply(np.log(A2), Y)", "np.multiply(np.log(A2 + 1e-7), Y)", "right to 6 digits"),
        ("dZ2 = A2 - Y", "dZ2 = A2 - (2 * Y - 1)", "labels -1 and 1"),
    ],
    "VECTORS": [
        ("dw = 1 / m * np.dot(X, dZ.T)", "dw = np.dot(X, dZ.T)", "1/m missing"),
        ("db = 1 / m * np.sum(dZ)", "db = np.mean(dZ) / m", "mean in place of sum"),
        ("db = 1 / m * np.sum(dZ)", "db = 0.0", "left at 0"),
        ("dZ = A - Y", "dZ = A * (1 - A)", "A - Y missing"),
        ("dZ = A - Y", "dZ = np.abs(A - Y)", "absolute value of the error"),
        ("dZ = A - Y", "dZ = (A - Y) ** 2", "square of the error in place of the error"),
        ("(np.dot(w.T, X) + b)", "np.dot(w.T, X)", "bias missing in the forward pass"),
        ("np.exp(-(", "np.exp((", "sign of z in the sigmoid"),
        ("-1 / m * np.sum(", "-1 / m * 0.5 * np.sum(", "factor 1/2"),
        ("Y * np.log(A) + (1 - Y) * np.log(1 - A)", "(1 - Y) * np.log(A) + Y * np.log(1 - A)", "y and 1 - y swapped"),
        ("np.log(", "np.log2(", "log2 in place of ln"),
    ],
    "PSEUDO_CODE": [
        ("dw[j] += X[j, i] * dz", "dw[j] = X[j, i] * dz", "one example in place of the sum"),
        ("db += dz", "db = dz", "one example in place of the sum"),
        ("J, dw, db = J / m, dw / m, db / m", "J, dw, db = J / m, dw, db", "1/m missing"),
        ("J, dw, db = J / m, dw / m, db / m", "J, dw, db = J, dw / m, db / m", "sum in place of mean"),
        ("dz = a - y", "dz = y - a", "wrong sign"),
        ("dz = a - y", "dz = a", "Y missing"),
        ("dz = a - y", "dz = z - y", "Z in place of A"),
        ("J += -(y", "J += (y", "wrong sign"),
    ],
    "NIELSEN": [
        ("* sigmoid_prime(zs[-1])", "", "g' missing"),
        ("* sp\n", "\n", "g' missing"),
        ("sp = sigmoid_prime(zs[-l])", "sp = sigmoid_prime(activations[-l])", "g' evaluated at A"),
        ("return sigmoid(z) * (1 - sigmoid(z))", "return z * (1 - z)", "g' formula in A, evaluated at Z"),
        ("return sigmoid(z) * (1 - sigmoid(z))", "return sigmoid(z)", "1 - a missing in sigmoid'"),
        ("activations[-l - 1].transpose()", "zs[-l - 1].transpose() if l < len(zs) else x.T", "Z_{l-1} in place of A_{l-1}"),
        ('{"W": w / m, "b": b / m}', '{"W": w, "b": b}', "1/m missing"),
        ('{"W": w / m, "b": b / m}', '{"W": w / 10, "b": b / 10}', "1/10 in place of 1/m"),
        ("activations[-1] - y)", "y - activations[-1])", "wrong sign"),
        ("sum_b = [nb + dnb for", "sum_b = [dnb for", "one example in place of the sum"),
        ("z = np.dot(w, activation) + b", "z = np.dot(w, activation)", "bias missing in the forward pass"),
        ("        nabla_w[-l] = ", "        nabla_w[-l] = 0 * ", "left at 0"),
        ("weights[-l + 1].transpose(), delta)", "nabla_w[-l + 1].transpose(), delta)", "dW in place of W"),
    ],
    "LECTURE": [
        ("dscores[range(N), y] -= 1", "dscores[:, y] -= 1", "every label at every example"),
        ("dscores[range(N), y] -= 1", "np.subtract.at(dscores.T, y, 1)", "every label at every example"),
        ("dscores[range(N), y] -= 1", "dscores[range(N), (y + 1) % 4] -= 1", "class ids shifted by one"),
        ("dscores /= N", "pass", "1/m missing"),
        ("dW2 = h1.T.dot(dscores) + 0.5 / N * W2", "dW2 = h1.T.dot(dscores)", "penalty missing"),
        ("dW2 = h1.T.dot(dscores) + 0.5 / N * W2", "dW2 = h1.T.dot(dscores) + 0.5 * W2", "λ without 1/m"),
        ("db2 = np.sum(dscores, axis=0)", "db2 = np.sum(dscores, axis=0) + 0.5 / N * b2[0]", "L2 on the biases"),
        ("dhidden[h1 <= 0] = 0", "dhidden[dhidden <= 0] = 0", "mask from dA"),
        ("dhidden[h1 <= 0] = 0", "pass", "g' missing"),
        ("dhidden[h1 <= 0] = 0", "dhidden[h1 > 0] = 0", "mask inverted"),
        ("dhidden[h1 <= 0] = 0", "dhidden = dhidden * h1 * (1 - h1)", "sigmoid' in place of relu'"),
        ("h1 = np.maximum(0, hidden)", "h1 = np.tanh(hidden)", "tanh in place of relu"),
        ("h1 = np.maximum(0, hidden)", "h1 = hidden", "identity in place of relu"),
        ("np.sum(np.exp(shifted), axis=1, keepdims=True)", "np.sum(np.exp(shifted))", "softmax over the wrong axis"),
        ("np.max(scores, axis=1, keepdims=True)", "np.max(scores, axis=0)", "maximum over the wrong axis in softmax"),
        ("loss += 0.5 * 0.5 / N", "loss += 0.5 / N", "penalty with factor 2"),
        ("loss += 0.5 * 0.5 / N * (np.sum(W1 * W1) + np.sum(W2 * W2))", "", "penalty missing"),
        ("-np.log(probs[range(N), y]).sum() / N", "-np.log10(probs[range(N), y]).sum() / N", "log10 in place of ln"),
    ],
    "BLOG": [
        ("(probs - labels) / num_examples", "(probs - labels)", "1/m missing"),
        ("(probs - labels) / num_examples", "(probs - labels) * probs * (1 - probs) / num_examples", "g' applied to a cross-entropy"),
        ("(probs - labels) / num_examples", "(probs - labels).sum(axis=1, keepdims=True) + 0 * probs", "error added up over the outputs"),
        ("probs - labels", "probs - labels.argmax(axis=1)[:, None]", "class ids as numbers"),
        ("(probs - labels) / num_examples", "(labels - probs)", "wrong sign and 1/m missing"),
        ("(probs - labels) / num_examples", "(probs - labels) / probs.size", "mean over the outputs too"),
        ("dW2 = (a1.T).dot(delta3)", "dW2 = (a1.T).dot(delta3) + 0.01 * W2", "a penalty that the objective has not"),
        ("dW1 = np.dot(X.T, delta2)", "dW1 = np.dot(X.T, delta2) / num_examples", "1/m twice"),
        ("1 - np.power(a1, 2)", "1 - a1", "square missing in tanh'"),
        ("1 - np.power(a1, 2)", "1 + np.power(a1, 2)", "sign in tanh'"),
        ("1 - np.power(a1, 2)", "(1 - a1) ** 2", "square of the difference in g'"),
        ("a1 = np.tanh(X.dot(W1) + b1)", "a1 = np.tanh(X.dot(W1))", "bias missing in the forward pass"),
        ("np.sum(exp_scores, axis=1, keepdims=True)", "np.sum(exp_scores, axis=0)", "softmax over the wrong axis"),
        ("delta3.dot(W2.T)", "delta3.dot(W2.T - 0.05 * dW2.T)", "W updated before it is used"),
    ],
    "ELEVEN_LINES": [
        ("l2_delta = l2_error * nonlin(l2, deriv=True)", "l2_delta = l2_error", "g' missing"),
        ("l2_error = l2 - y", "l2_error = y - l2", "wrong sign"),
        ("l2_error = l2 - y", "l2_error = 2 * (l2 - y)", "factor 2 not cancelled"),
        ("l1_error = l2_delta.dot(syn1.T)", "l1_error = l2_error.dot(syn1.T)", "dA in place of dZ"),
        ("return x * (1 - x)", "return x * (1 + x)", "sign in sigmoid'"),
        ("nonlin(l1, deriv=True)", "nonlin(np.dot(l0, syn0) + bias0, deriv=True)", "g' formula in A, evaluated at Z"),
        ("np.dot(l1, syn1) + bias1", "np.dot(l1, syn1)", "bias missing in the forward pass"),
        ("n = len(l0)", "n = 1", "1/m missing"),
        ("l1_delta.mean(axis=0)[:, None]", "l1_delta.mean(axis=0)", "keepdims missing"),
        ("l1_delta.mean(axis=0)[:, None]", "l1_error.mean(axis=0)[:, None]", "dA in place of dZ"),
    ],
    "DIGITS": [
        ("db1 = 1 / m * dZ1.sum(axis=1, keepdims=True)", "db1 = 1 / m * np.sum(dZ1)", "axis missing"),
        ("db2 = 1 / m * dZ2.sum(axis=1, keepdims=True)", "db2 = 1 / m * dZ2.sum(axis=1)", "keepdims missing"),
        ("* (Z1 > 0)", "* Z1", "g in place of g'|z in place of g'"),
        ("* (Z1 > 0)", "* A1", "g in place of g'"),
        ("* (Z1 > 0)", "* (1 - A1**2)", "tanh' in place of relu'"),
        ("* (Z1 > 0)", "* np.where(Z1 > 0, 1, 0.01)", "leaky_relu' in place of relu'"),
        ("W2.T.dot(dZ2)", "W2.T.dot(dZ2) / m", "1/m twice"),
        ("W2.T.dot(dZ2)", "W2.T.dot(A2)", "A in place of dZ"),
        ("W2.T.dot(dZ2)", "dW2.T.dot(dZ2)", "dW in place of W"),
        ("A2 = softmax(Z2)", "A2 = 1 / (1 + np.exp(-Z2))", "sigmoid in place of softmax"),
        ("/ sum(np.exp(Z))", "/ np.sum(np.exp(Z))", "softmax over the wrong axis"),
        ("/ sum(np.exp(Z))", "", "sum missing in softmax"),
        ("A1 = np.maximum(Z1, 0)", "A1 = np.maximum(Z1, 0.01 * Z1)", "leaky_relu(0.01) in place of relu"),
        ("J = -np.sum(one_hot_Y * np.log(A2)) / m", "J = -np.mean(one_hot_Y * np.log(A2))", "mean over the outputs too"),
        ("np.sum(one_hot_Y * np.log(A2))", "np.sum(one_hot_Y @ np.log(A2).T)", "labels that broadcast"),
        ("np.sum(one_hot_Y * np.log(A2))", "np.sum(one_hot_Y * np.log(one_hot_Y / A2))", "0 · log 0"),
        ("-np.sum(one_hot_Y * np.log(A2))", "np.sum((A2 - one_hot_Y) ** 2)", "quadratic cost in place of the cross-entropy"),
    ],
    "ASSIGNMENT": [
        ("np.dot(dZ, A_prev.T) / m", "np.dot(dZ, A_prev.T)", "1/m missing"),
        ("dZ[Z <= 0] = 0", "dZ[dA <= 0] = 0", "mask from dA"),
        ("return dA * s * (1 - s)", "return dA * s", "1 - a missing in sigmoid'"),
        ("return dA * s * (1 - s)", "return dA", "g' missing"),
        ("return dA * s * (1 - s)", "return dA * s / (1 - s)", "σ/(1 - σ) in place of σ (1 - σ)"),
        ("np.dot(W.T, dZ), ", "np.dot(dZ.T, W).T / m, ", "1/m twice"),
        ("if l < L - 1 else sigmoid_backward", "if l < L else sigmoid_backward", "relu' in place of sigmoid'"),
        ("if l < L - 1 else sigmoid", "if l < 0 else sigmoid", "sigmoid' in place of relu'"),
        ("dA = -(np.divide(Y, A) - np", "dA = -(np.divide(Y, A) + np", "sign of the second term"),
        ("np.dot(1 - Y, np.log(1 - A).T)) / m)", "np.dot(1 - Y, np.log(1 - A).T)) / m / m)", "1/m twice"),
        ("axis=1, keepdims=True) / m", "axis=0, keepdims=True) / m", "wrong axis"),
    ],
    "OBJECTS": [
        ("return self.W.T @ grad", "return self.dW.T @ grad", "dW in place of W"),
        ("self.dW = grad @ self.x.T", "self.dW = 0.5 * grad @ self.x.T", "factor 1/2"),
        ("return grad * (1 - self.y**2)", "return grad", "g' missing"),
        ("return grad * (1 - self.y**2)", "return grad + (1 - self.y**2)", "g' added"),
        ("return grad * (1 - self.y**2)", "return 1 - grad**2", "g' evaluated at dA"),
        ("return grad * (1 - self.y**2)", "return grad * (1 - self.y**2) ** 2", "g' twice"),
        ("grad = (y - Y) / n\n", "grad = 2 * (y - Y) / n\n", "factor 2 not cancelled"),
        ("grad = (y - Y) / n\n", "grad = (y - Y) / y.size\n", "mean over the outputs too"),
        ("grad = (y - Y) / n\n", "grad = np.sign(y - Y) / n\n", "sign of the error in place of the error"),
        ("loss = 0.5 * np.sum", "loss = np.sum", "factor 2"),
        ("np.sum((y - Y) ** 2) / n", "np.sum(y - Y) / n", "square missing"),
        ("0.5 * np.sum((y - Y) ** 2) / n", "np.sqrt(np.sum((y - Y) ** 2) / n)", "root of the cost"),
        ("0.5 * np.sum((y - Y) ** 2) / n", "np.sqrt(0.5 * np.sum((y - Y) ** 2) / n)", "root of the cost"),
        ("    layers.pop()\n", "", "tanh in place of identity"),
        ("self.y = np.tanh(x)", "self.y = np.tanh(x) * (np.random.default_rng().random(x.shape) < 0.5)", "the gradient varies"),
        ('{"dW": layer.dW, "db": layer.db}', '{"dW": layer.W - 0.1 * layer.dW, "db": layer.b - 0.1 * layer.db}',
         "updated parameters in place of the gradient"),
    ],
    "SCALARS": [
        ("for i in range(m):", "for i in range(m - 1):", "one example left out"),
        ("for i in range(m):", "for i in range(1, m):", "one example left out"),
        ('"dW1": dW1', '"dW1": 0 * dW1 + dW1.sum(axis=0)', "one list for all rows"),
        ("da1[j] * (1", "sum(da1[: j + 1]) * (1", "sum not set to 0"),
        ("da1[k] += W2[j, k] * dz2[j]", "da1[k] = W2[j, k] * dz2[j]", "one unit in place of the sum"),
        ("dW1[j, k] += dz1 * X[k, i] / m", "dW1[j, k] = dz1 * X[k, i] / m", "one example in place of the sum"),
        ("da1[k] += W2[j, k] * dz2[j]", "da1[k] += dz2[j]", "W missing"),
        ("dz1 = da1[j] * (1 - a1[j] ** 2)", "dz1 = da1[j] * (1 - a1[j])", "square missing in tanh'"),
        ("dz1 = da1[j] * (1 - a1[j] ** 2)", "dz1 = da1[j] * (1 - z1[j] ** 2)", "g' formula in A, evaluated at Z"),
        ("dW2[j, k] += dz2[j] * a1[k] / m", "dW2[j, k] += dz2[j] * z1[k] / m", "Z_{l-1} in place of A_{l-1}"),
        ("db1[j, 0] += dz1 / m", "db1[j, 0] += da1[j] / m", "dA in place of dZ"),
    ],
    "COMPREHENSIONS": [
        ("np.where(Z < 0, 0.01, 1)", "(Z >= 0)", "relu' in place of leaky_relu'"),
        ("np.where(Z < 0, 0.01, 1)", "np.where(Z < 0, 0.1, 1)", "another α in leaky_relu'"),
        ("np.where(Z < 0, 0.01, 1)", "np.where(Z < 0, 1, 0.01)", "slopes swapped"),
        ("dWs = [dZ @ A.T for", "dWs = [A @ dZ.T for", "dW transposed"),
        ("dWs = [dZ @ A.T for", "dWs = [dZ @ A.T * 3 for", "factor 3"),
        ("dbs = [dZ.sum(axis=1, keepdims=True)", "dbs = [dZ.mean(axis=1, keepdims=True)", "mean in place of sum"),
        ("dbs = [dZ.sum(axis=1, keepdims=True)", "dbs = [dZ", "sum missing"),
        ("E / E.sum(axis=0)", "E / E.sum(axis=1, keepdims=True)", "softmax over the wrong axis"),
        ("W.T @ dZs[0] * np.where(Z < 0", "-W.T @ dZs[0] * np.where(Z <= 0", "wrong sign"),
        ("W.T @ dZs[0]", "-W.T @ dZs[0]", "wrong sign"),
        ("W.T @ dZs[0]", "2 * W.T @ dZs[0]", "factor 2"),
    ],
    "EINSUM": [
        ("+ lam / m * W2", "+ lam * W2", "λ without 1/m"),
        ("+ lam / m * W2", "+ 2 * lam / m * W2", "penalty with factor 2"),
        ("+ lam / m * W2", "- lam / m * W2", "sign of the penalty"),
        ("H * (1 - H)", "(1 - H)", "a missing in sigmoid'"),
        ("H * (1 - H)", "H", "1 - a missing in sigmoid'"),
        ("H * (1 - H)", "(1 - H**2)", "tanh' in place of sigmoid'"),
        ("lam / (2 * m) * (", "lam / m * (", "penalty with factor 2"),
        ("J = 0.5 *", "J = -0.5 *", "wrong sign"),
        ("E = (P - Y) / m", "E = (P - Y)", "1/m missing"),
        ("E = (P - Y) / m", "E = (P - Y) / m * P * (1 - P)", "sigmoid' in place of identity'"),
    ],
    "SQUARE": [
        ('"dW1": dW1', '"dW1": dW2', "dW of another layer"),
        ('"dW1": dW1, "db1": db1, "dW2": dW2', '"dW1": dW2, "db1": db1, "dW2": dW1', "dW of another layer"),
        ('dA1 = p["W2"].T', 'dA1 = p["W1"].T', "W of another layer"),
        ('dA2 = p["W3"].T', 'dA2 = p["W2"].T', "W of another layer"),
        ('dA1 = p["W2"].T', 'dA1 = p["W2"]', "W not transposed"),
        ("dZ1 = dA1 * (Z1 > 0)", "dZ1 = dA1 * (Z2 > 0)", "slope of another layer"),
        ("dZ2 = dA2 * (Z2 > 0)", "dZ2 = dA2 * (Z1 > 0)", "slope of another layer"),
        ("dA1 = ", "dA1 = dZ2 + 0 * ", "W missing"),
        ("dZ2 @ A1.T", "dZ2 @ A2.T", "A_l in place of A_{l-1}"),
        ("dZ2 @ A1.T", "dZ2 @ X.T", "X in place of A_{l-1}"),
        ('Z2 = p["W2"] @ A1', 'Z2 = p["W2"] @ X', "X in place of A_{l-1} in the forward pass"),
        ("for dZ in (dZ3, dZ2, dZ1)", "for dZ in (dZ3, dZ2, dZ2)", "dZ of another layer"),
        ("for dZ in (dZ3, dZ2, dZ1)", "for dZ in (dZ3, dZ2, dA1)", "dA in place of dZ"),
        ("(A3 - Y) / m", "(A3 - Y) / (m - 1)", "division by m - 1"),
    ],
}  # fmt: skip
# Two slips at once: the first, from the output down, is named, and no correct equation is accused.
PAIRS = [
    ("PLANAR", [SLIPS["PLANAR"][0], SLIPS["PLANAR"][1]], "factor 2", "BP4 dW_2"),
    ("PLANAR", [("dW2 = np.dot(dZ2, A1.T) / m", "dW2 = np.dot(dZ2, A1.T) / m * 2", ""),
                ("db2 = np.sum(dZ2, axis=1, keepdims=True) / m", "db2 = np.sum(dZ2, axis=1, keepdims=True) / m * 3", "")],
     "factor 3 and factor 2", "BP3 db_2 and BP4 dW_2"),
    ("PLANAR", [("dW1 = np.dot(dZ1, X.T) / m", "dW1 = np.dot(dZ1, X.T) / m * 2", ""), SLIPS["PLANAR"][1]],
     "factor 4 and factor 2", "BP3 db_1 and BP4 dW_1"),
    ("DIGITS", [("dZ1 = W2.T.dot(dZ2)", "dZ1 = np.tanh(W2.T).dot(dZ2)", ""), SLIPS["DIGITS"][1]], "keepdims missing", "BP3 db_2"),
    ("DIGITS", [("axis=1, keepdims=True", "axis=1", ""), ("dZ2 = A2 - one_hot_Y", "dZ2 = -one_hot_Y / A2 * A2 * (1 - A2)", "")],
     "keepdims missing and softmax Jacobian elementwise", "BP3 db and BP1 dZ_2"),
    ("BLOG", [SLIPS["BLOG"][0], ("1 - np.power(a1, 2)", "1 - a1", "")], "1/m missing", "BP1 dZ_2"),
    ("BLOG", [("dW2 = (a1.T).dot(delta3)", "dW2 = (a1.T).dot(delta3) + 0.01 * W2", ""),
              ("dW1 = np.dot(X.T, delta2)", "dW1 = np.dot(X.T, delta2) + 0.01 * W1", "")],
     "a penalty that the objective has not", "BP4 dW_2"),
]  # fmt: skip


def backward_of(name: str, *slips: tuple[str, str, str]) -> Any:
    text = PROGRAMS[name].text
    for old, new, _ in slips:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    names: dict[str, Any] = {"np": np, "math": math}
    exec(text, names)
    return names["backward"]


def report_of(name: str, *slips: tuple[str, str, str]) -> Any:
    program = PROGRAMS[name]
    return verify_numpy(backward_of(name, *slips), net=program.net, objective=program.objective)


@pytest.mark.parametrize("name", slow_except(PROGRAMS, "PLANAR", "LECTURE"))
def test_correct_programs_pass(name):
    report = report_of(name)
    assert report.passed, str(report)


QUICK = [("PLANAR", slip) for slip in SLIPS["PLANAR"][::3]] + [("LECTURE", slip) for slip in SLIPS["LECTURE"][4::4]]


@pytest.mark.parametrize(("name", "slip"), QUICK)
def test_a_slip_is_named(name, slip):
    assert report_of(name, slip).diagnosis.cause == slip[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", SLIPS)
def test_every_slip_is_found_and_named(name):
    for slip in SLIPS[name]:
        report = report_of(name, slip)
        assert not report.passed, slip
        assert report.diagnosis.cause in slip[2].split("|"), (slip, report.diagnosis)


def test_the_penalty_of_another_layer_is_named():
    name, penalty = "SQUARE", jaxmlp.Objective(l2=0.5)
    text = PROGRAMS[name].text.replace(
        "dZ3 @ A2.T, dZ2 @ A1.T, dZ1 @ X.T", "dZ3 @ A2.T + l3, dZ2 @ A1.T + l2, dZ1 @ X.T + l1"
    )
    for line, cause in (
        ('l1, l2, l3 = (0.5 / m * p[k] for k in ("W1", "W2", "W3"))', None),
        ('l1, l2, l3 = (0.5 / m * p[k] for k in ("W2", "W2", "W3"))', "penalty of another layer"),
        ('l1, l2, l3 = (0.5 / m * p[k] for k in ("W1", "W2", "W2"))', "penalty of another layer"),
    ):
        names: dict[str, Any] = {"np": np}
        exec(text.replace("    dW3", f"    {line}\n    dW3", 1), names)
        report = verify_numpy(names["backward"], net=PROGRAMS[name].net, objective=penalty)
        assert (report.diagnosis and report.diagnosis.cause) == cause


def test_the_table_is_large():
    assert sum(map(len, SLIPS.values())) >= 150
    assert len(SLIPS) == len(PROGRAMS) >= 14


@pytest.mark.parametrize(("name", "slips", "cause", "equation"), PAIRS)
def test_of_two_slips_the_first_is_named(name, slips, cause, equation):
    diagnosis = report_of(name, *slips).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == (cause, equation)


# What no table has: only the equation is told, and a correct one is not accused.
UNKNOWN = {
    "BP1 dZ_2": ("dZ2 = A2 - Y", "dZ2 = np.sin(3 * (A2 - Y))"),
    "BP2 dZ_1": ("np.dot(W2.T, dZ2)", "np.sin(3 * np.dot(W2.T, dZ2))"),
    "BP3 db_2": ("db2 = np.sum(dZ2", "db2 = np.sum(dZ2**3"),
    "BP4 dW_1": ("dW1 = np.dot(dZ1, X.T)", "dW1 = np.dot(dZ1, np.cos(X.T))"),
    "BP3 db_2 and BP4 dW_2": (
        "dW2 = np.dot(dZ2, A1.T) / m",
        "dW2, Z3 = np.dot(np.exp(dZ2), A1.T) / m, dZ2; dZ2 = dZ2**3",
    ),
}


@pytest.mark.parametrize("equation", UNKNOWN)
def test_an_unknown_error_has_its_equation(equation):
    old, new = UNKNOWN[equation]
    slips = [(old, new, "")]
    if "Z3" in new:  # the sum of a cube for db_2, then the correct dZ_2 again for what lies below
        slips.append(("dZ1 = np.dot(W2.T, dZ2)", "dZ1 = np.dot(W2.T, Z3)", ""))
    diagnosis = report_of("PLANAR", *slips).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == (UNKNOWN_CAUSE, equation)


def test_an_unknown_error_in_dW_is_not_blamed_on_dZ_when_a_bias_below_is_incorrect_too():
    slips = [
        ("np.dot(dZ2, A1.T) / m", "np.dot(dZ2, np.cos(A1.T)) / m", ""),
        ("db1 = np.sum(dZ1", "db1 = np.sum(dZ1**3", ""),
    ]
    assert report_of("PLANAR", *slips).diagnosis.equation == "BP4 dW_2"
