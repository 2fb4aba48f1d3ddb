"""Backward passes as people write them: the course, Nielsen's book, lecture notes, blogs and forums.

Each is the text of a correct `backward`, so that a test can plant a slip by changing a line. They differ in layout
(examples as columns or rows), in what they keep (dictionaries, lists, objects, vectors), in loops, and in where 1/m is.
"""

from typing import NamedTuple

from jaxmlp import Network, Objective


class Program(NamedTuple):
    """The text of a correct backward pass, and the network and objective that it belongs to."""

    text: str
    net: Network
    objective: Objective | None = None


# Ng's planar exercise: one hidden layer of tanh, a dictionary, J returned.
PLANAR = Program(
    """
def backward(parameters, X, Y):
    m = X.shape[1]
    W1, b1, W2, b2 = (parameters[k] for k in ("W1", "b1", "W2", "b2"))
    Z1 = np.dot(W1, X) + b1
    A1 = np.tanh(Z1)
    Z2 = np.dot(W2, A1) + b2
    A2 = 1 / (1 + np.exp(-Z2))
    logprobs = np.multiply(np.log(A2), Y) + np.multiply(np.log(1 - A2), 1 - Y)
    cost = -np.sum(logprobs) / m
    dZ2 = A2 - Y
    dW2 = np.dot(dZ2, A1.T) / m
    db2 = np.sum(dZ2, axis=1, keepdims=True) / m
    dZ1 = np.dot(W2.T, dZ2) * (1 - np.power(A1, 2))
    dW1 = np.dot(dZ1, X.T) / m
    db1 = np.sum(dZ1, axis=1, keepdims=True) / m
    return cost, {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
""",
    Network((3, 4, 1), "tanh", "sigmoid"),
)

# Ng's logistic regression as vectors: w is a column, Z = wᵀX + b.
VECTORS = Program(
    """
def backward(parameters, X, Y):
    w, b = parameters["W1"].T, parameters["b1"]
    m = X.shape[1]
    A = 1 / (1 + np.exp(-(np.dot(w.T, X) + b)))
    J = -1 / m * np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    dZ = A - Y
    dw = 1 / m * np.dot(X, dZ.T)
    db = 1 / m * np.sum(dZ)
    return J, {"dW1": dw.T, "db1": np.array([[db]])}
""",
    Network((4, 1), (), "sigmoid"),
)

# The pseudo-code of the same course: loops over examples and features.
PSEUDO_CODE = Program(
    """
def backward(parameters, X, Y):
    w, b = parameters["W1"][0], parameters["b1"][0, 0]
    n, m = X.shape
    J, dw, db = 0.0, np.zeros(n), 0.0
    for i in range(m):
        z = b
        for j in range(n):
            z += w[j] * X[j, i]
        a = 1 / (1 + np.exp(-z))
        y = Y[0, i]
        J += -(y * np.log(a) + (1 - y) * np.log(1 - a))
        dz = a - y
        for j in range(n):
            dw[j] += X[j, i] * dz
        db += dz
    J, dw, db = J / m, dw / m, db / m
    return J, {"dW1": dw[None], "db1": np.array([[db]])}
""",
    Network((4, 1), (), "sigmoid"),
)

# Nielsen's network.py: lists, one example at a time, quadratic cost.
NIELSEN = Program(
    """
def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))

def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))

def backprop(weights, biases, x, y):
    nabla_b = [np.zeros(b.shape) for b in biases]
    nabla_w = [np.zeros(w.shape) for w in weights]
    activation = x
    activations = [x]
    zs = []
    for b, w in zip(biases, weights):
        z = np.dot(w, activation) + b
        zs.append(z)
        activation = sigmoid(z)
        activations.append(activation)
    delta = (activations[-1] - y) * sigmoid_prime(zs[-1])
    nabla_b[-1] = delta
    nabla_w[-1] = np.dot(delta, activations[-2].transpose())
    for l in range(2, len(weights) + 1):
        sp = sigmoid_prime(zs[-l])
        delta = np.dot(weights[-l + 1].transpose(), delta) * sp
        nabla_b[-l] = delta
        nabla_w[-l] = np.dot(delta, activations[-l - 1].transpose())
    return nabla_b, nabla_w

def backward(params, X, Y):
    weights = [layer["W"] for layer in params]
    biases = [layer["b"] for layer in params]
    m = X.shape[1]
    sum_b = [np.zeros(b.shape) for b in biases]
    sum_w = [np.zeros(w.shape) for w in weights]
    for i in range(m):
        delta_b, delta_w = backprop(weights, biases, X[:, i:i + 1], Y[:, i:i + 1])
        sum_b = [nb + dnb for nb, dnb in zip(sum_b, delta_b)]
        sum_w = [nw + dnw for nw, dnw in zip(sum_w, delta_w)]
    return [{"W": w / m, "b": b / m} for w, b in zip(sum_w, sum_b)]
""",
    Network((3, 5, 4, 2), "sigmoid", "sigmoid"),
    Objective("quadratic"),
)

# Lecture notes on a two-layer network: examples as rows, relu, softmax, class ids, a penalty.
LECTURE = Program(
    """
def backward(params, X, Y):
    W1, b1, W2, b2 = params["W1"].T, params["b1"].T, params["W2"].T, params["b2"].T
    X, y = X.T, Y.argmax(axis=0)
    N = X.shape[0]
    hidden = X.dot(W1) + b1
    h1 = np.maximum(0, hidden)
    scores = h1.dot(W2) + b2
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    probs = np.exp(shifted) / np.sum(np.exp(shifted), axis=1, keepdims=True)
    loss = -np.log(probs[range(N), y]).sum() / N
    loss += 0.5 * REG / N * (np.sum(W1 * W1) + np.sum(W2 * W2))
    dscores = probs.copy()
    dscores[range(N), y] -= 1
    dscores /= N
    dW2 = h1.T.dot(dscores) + REG / N * W2
    db2 = np.sum(dscores, axis=0)
    dhidden = dscores.dot(W2.T)
    dhidden[h1 <= 0] = 0
    dW1 = X.T.dot(dhidden) + REG / N * W1
    db1 = np.sum(dhidden, axis=0)
    return loss, {"dW1": dW1.T, "db1": db1[:, None], "dW2": dW2.T, "db2": db2[:, None]}
""".replace("REG", "0.5"),
    Network((3, 6, 4), "relu", "softmax"),
    Objective(l2=0.5),
)

# A blog's network from scratch: rows, tanh, softmax, deltas by number.
BLOG = Program(
    """
def backward(model, X, Y):
    W1, b1, W2, b2 = model["W1"].T, model["b1"].T, model["W2"].T, model["b2"].T
    X, labels = X.T, Y.T
    num_examples = len(X)
    a1 = np.tanh(X.dot(W1) + b1)
    exp_scores = np.exp(a1.dot(W2) + b2)
    probs = exp_scores / np.sum(exp_scores, axis=1, keepdims=True)
    delta3 = (probs - labels) / num_examples
    dW2 = (a1.T).dot(delta3)
    db2 = np.sum(delta3, axis=0, keepdims=True)
    delta2 = delta3.dot(W2.T) * (1 - np.power(a1, 2))
    dW1 = np.dot(X.T, delta2)
    db1 = np.sum(delta2, axis=0)
    return {"dW1": dW1.T, "db1": db1.reshape(-1, 1), "dW2": dW2.T, "db2": db2.T}
""",
    Network((3, 5, 4), "tanh", "softmax"),
)

# Eleven lines: rows, sigmoid twice, layer_1_delta, a quadratic cost.
ELEVEN_LINES = Program(
    """
def nonlin(x, deriv=False):
    if deriv:
        return x * (1 - x)
    return 1 / (1 + np.exp(-x))

def backward(params, X, Y):
    (syn0, bias0), (syn1, bias1) = [(layer["W"].T, layer["b"].T) for layer in params]
    l0, y = X.T, Y.T
    l1 = nonlin(np.dot(l0, syn0) + bias0)
    l2 = nonlin(np.dot(l1, syn1) + bias1)
    l2_error = l2 - y
    l2_delta = l2_error * nonlin(l2, deriv=True)
    l1_error = l2_delta.dot(syn1.T)
    l1_delta = l1_error * nonlin(l1, deriv=True)
    n = len(l0)
    return (
        {"dW": l0.T.dot(l1_delta).T / n, "db": l1_delta.mean(axis=0)[:, None]},
        {"dW": l1.T.dot(l2_delta).T / n, "db": l2_delta.mean(axis=0)[:, None]},
    )
""",
    Network((3, 4, 1), "sigmoid", "sigmoid"),
    Objective("quadratic"),
)

# Digits from scratch in a video: columns, relu, softmax, one-hot.
DIGITS = Program(
    """
def softmax(Z):
    return np.exp(Z) / sum(np.exp(Z))

def backward(params, X, one_hot_Y):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    m = X.shape[1]
    Z1 = W1.dot(X) + b1
    A1 = np.maximum(Z1, 0)
    Z2 = W2.dot(A1) + b2
    A2 = softmax(Z2)
    J = -np.sum(one_hot_Y * np.log(A2)) / m
    dZ2 = A2 - one_hot_Y
    dW2 = 1 / m * dZ2.dot(A1.T)
    db2 = 1 / m * dZ2.sum(axis=1, keepdims=True)
    dZ1 = W2.T.dot(dZ2) * (Z1 > 0)
    dW1 = 1 / m * dZ1.dot(X.T)
    db1 = 1 / m * dZ1.sum(axis=1, keepdims=True)
    return J, {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
""",
    Network((3, 6, 4), "relu", "softmax"),
)

# A course's assignment of any depth: caches, linear and activation parts apart, dA of the cost.
ASSIGNMENT = Program(
    """
def linear_backward(dZ, cache):
    A_prev, W = cache
    m = A_prev.shape[1]
    return np.dot(W.T, dZ), np.dot(dZ, A_prev.T) / m, np.sum(dZ, axis=1, keepdims=True) / m

def relu_backward(dA, Z):
    dZ = np.array(dA, copy=True)
    dZ[Z <= 0] = 0
    return dZ

def sigmoid_backward(dA, Z):
    s = 1 / (1 + np.exp(-Z))
    return dA * s * (1 - s)

def backward(parameters, X, Y):
    L = len(parameters) // 2
    caches, A = [], X
    for l in range(1, L + 1):
        W, b = parameters["W" + str(l)], parameters["b" + str(l)]
        Z = W @ A + b
        caches.append(((A, W), Z))
        A = np.maximum(0, Z) if l < L else 1 / (1 + np.exp(-Z))
    m = Y.shape[1]
    cost = np.squeeze(-(np.dot(Y, np.log(A).T) + np.dot(1 - Y, np.log(1 - A).T)) / m)
    grads = {}
    dA = -(np.divide(Y, A) - np.divide(1 - Y, 1 - A))
    for l in reversed(range(L)):
        linear_cache, Z = caches[l]
        dZ = relu_backward(dA, Z) if l < L - 1 else sigmoid_backward(dA, Z)
        dA, grads["dW" + str(l + 1)], grads["db" + str(l + 1)] = linear_backward(dZ, linear_cache)
    return cost, grads
""",
    Network((4, 6, 5, 3, 1), "relu", "sigmoid"),
)

# Objects with forward and backward, one per layer; tanh, three layers, regression.
OBJECTS = Program(
    """
class Dense:
    def __init__(self, layer):
        self.W, self.b = layer["W"], layer["b"]

    def forward(self, x):
        self.x = x
        return self.W @ x + self.b

    def backward(self, grad):
        self.dW = grad @ self.x.T
        self.db = grad.sum(axis=1, keepdims=True)
        return self.W.T @ grad

class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, grad):
        return grad * (1 - self.y**2)

def backward(params, X, Y):
    layers = []
    for layer in params:
        layers += [Dense(layer), Tanh()]
    layers.pop()
    y = X
    for layer in layers:
        y = layer.forward(y)
    n = X.shape[1]
    loss = 0.5 * np.sum((y - Y) ** 2) / n
    grad = (y - Y) / n
    for layer in reversed(layers):
        grad = layer.backward(grad)
    return loss, [{"dW": layer.dW, "db": layer.db} for layer in layers if isinstance(layer, Dense)]
""",
    Network((3, 5, 4, 2), "tanh", "identity"),
)

# Every number by its index: loops over examples, units and inputs.
SCALARS = Program(
    """
def backward(P, X, Y):
    W1, b1, W2, b2 = P["W1"], P["b1"], P["W2"], P["b2"]
    (n0, m), n1, n2 = X.shape, len(W1), len(W2)
    dW1, db1, dW2, db2 = np.zeros(W1.shape), np.zeros((n1, 1)), np.zeros(W2.shape), np.zeros((n2, 1))
    for i in range(m):
        z1 = [sum(W1[j, k] * X[k, i] for k in range(n0)) + b1[j, 0] for j in range(n1)]
        a1 = [math.tanh(z) for z in z1]
        a2 = [1 / (1 + math.exp(-sum(W2[j, k] * a1[k] for k in range(n1)) - b2[j, 0])) for j in range(n2)]
        dz2 = [a2[j] - Y[j, i] for j in range(n2)]
        da1 = [0.0] * n1
        for j in range(n2):
            for k in range(n1):
                dW2[j, k] += dz2[j] * a1[k] / m
                da1[k] += W2[j, k] * dz2[j]
            db2[j, 0] += dz2[j] / m
        for j in range(n1):
            dz1 = da1[j] * (1 - a1[j] ** 2)
            for k in range(n0):
                dW1[j, k] += dz1 * X[k, i] / m
            db1[j, 0] += dz1 / m
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
""",
    Network((3, 4, 2), "tanh", "sigmoid"),
)

# Comprehensions over layers, leaky relu, softmax.
COMPREHENSIONS = Program(
    """
def backward(params, X, Y):
    Ws, bs = [p["W"] for p in params], [p["b"] for p in params]
    As, Zs = [X], []
    for W, b in zip(Ws, bs):
        Zs.append(W @ As[-1] + b)
        As.append(np.where(Zs[-1] > 0, Zs[-1], 0.01 * Zs[-1]))
    E = np.exp(Zs[-1] - Zs[-1].max(axis=0))
    probabilities = E / E.sum(axis=0)
    dZs = [(probabilities - Y) / X.shape[1]]
    for W, Z in zip(Ws[:0:-1], Zs[-2::-1]):
        dZs.insert(0, W.T @ dZs[0] * np.where(Z < 0, 0.01, 1))
    dWs = [dZ @ A.T for dZ, A in zip(dZs, As)]
    dbs = [dZ.sum(axis=1, keepdims=True) for dZ in dZs]
    return [{"W": dW, "b": db} for dW, db in zip(dWs, dbs)]
""",
    Network((3, 6, 5, 4), "leaky_relu(0.01)", "softmax"),
)

# einsum and a penalty: regression with sigmoid units.
EINSUM = Program(
    """
def backward(params, X, Y):
    lam = 0.3
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    m = X.shape[1]
    H = 1 / (1 + np.exp(-(np.einsum("ij,jk->ik", W1, X) + b1)))
    P = np.einsum("ij,jk->ik", W2, H) + b2
    E = (P - Y) / m
    J = 0.5 * np.einsum("ij,ij->", P - Y, P - Y) / m + lam / (2 * m) * (np.sum(W1**2) + np.sum(W2**2))
    D = np.einsum("ji,jk->ik", W2, E) * H * (1 - H)
    dW2 = np.einsum("ik,jk->ij", E, H) + lam / m * W2
    dW1 = np.einsum("ik,jk->ij", D, X) + lam / m * W1
    return J, {"dW1": dW1, "db1": D.sum(1, keepdims=True), "dW2": dW2, "db2": E.sum(1, keepdims=True)}
""",
    Network((3, 5, 2), "sigmoid", "identity"),
    Objective(l2=0.3),
)

# All widths equal: a wrong W, a wrong layer or a wrong product raises nothing.
SQUARE = Program(
    """
def backward(p, X, Y):
    m = X.shape[1]
    Z1 = p["W1"] @ X + p["b1"]
    A1 = np.maximum(Z1, 0)
    Z2 = p["W2"] @ A1 + p["b2"]
    A2 = np.maximum(Z2, 0)
    Z3 = p["W3"] @ A2 + p["b3"]
    A3 = 1 / (1 + np.exp(-Z3))
    dZ3 = (A3 - Y) / m
    dA2 = p["W3"].T @ dZ3
    dZ2 = dA2 * (Z2 > 0)
    dA1 = p["W2"].T @ dZ2
    dZ1 = dA1 * (Z1 > 0)
    dW3, dW2, dW1 = dZ3 @ A2.T, dZ2 @ A1.T, dZ1 @ X.T
    db3, db2, db1 = (dZ.sum(axis=1, keepdims=True) for dZ in (dZ3, dZ2, dZ1))
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2, "dW3": dW3, "db3": db3}
""",
    Network((4, 4, 4, 4), "relu", "sigmoid"),
)

PROGRAMS = {name: value for name, value in list(globals().items()) if isinstance(value, Program)}
