"""Wide data trained in the space that its rows span: the same network to rounding, at a fraction of the cost.

With more features than rows (images, spectra, genes) the data reach the first layer only through Z₁ = W₁ X + b₁, and
every gradient of W₁ is dZ₁ Xᵀ plus a multiple of W₁: training moves W₁ within the span of the rows, and does no more
than shrink what is orthogonal to it. So let Q (n₀, r) be an orthonormal basis of that span, X = Q R, and

    W₁ = V Qᵀ + diag(ν) N        V = W₁ Q (n₁, r),   N (n₁, n₀) with unit rows orthogonal to the span

Then Z₁ = V R + b₁, dV = dZ₁ Rᵀ, and a penalty or a bound on the norm of a row sees ‖w_j‖² = ‖v_j‖² + ν_j². This is
the first layer of another network, with inputs [R; 0] (r + 1, m) and weights [V ν]: the column ν meets a feature that
is always 0, so only a penalty changes it, as it changes the part of W₁ that it stands for. The step of that network
reads r + 1 numbers of an example instead of n₀; at the end W₁ is put together again.

It is exact for every update that commutes with a rotation of the inputs, and moves nothing out of the span: gradient
descent, momentum and Nesterov's, with any schedule, batch, clipping, average, λ₂, max-norm, dropout of hidden units,
mixup, normalisation, activation and cost. It is not for updates of single numbers (adam and its kin), for λ₁, and for
noise on the inputs.

Q itself is never formed. With K = XᵀX = E Λ Eᵀ it is Q = X T, where T = E Λ^{-1/2} (m, r), and R = Λ^{1/2} Eᵀ. All of
this is float64: the eigenvalues of K are the squares of the singular values of X.

Sources: the representer theorem (Kimeldorf and Wahba 1971); Golub and Van Loan, Matrix Computations, for T twice where
the rows are nearly dependent ("CholeskyQR2", Yamamoto et al. 2015).
"""

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import Batches, Rows
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.optimizers import rotates_with_inputs
from jaxmlp.training.state import Coordinates, Snapshot, TrainState

# How much of the largest row the basis may miss, and how far from orthonormal it may be.
TOLERANCES = {"float32": 1e-8, "float64": 1e-11}

State = TypeVar("State")


class Basis(NamedTuple):
    """An orthonormal basis Q = X T of the span of rows, in float64.

    Attributes:
      rows: (m, n₀), which is Xᵀ: data are stored one row after the other.
      T: (m, r).
      R: (r, m), the coordinates of the rows.
    """

    rows: np.ndarray
    T: np.ndarray
    R: np.ndarray

    @property
    def width(self) -> int:
        """The features of the smaller network: r, and one for what is orthogonal to the rows."""
        return len(self.R) + 1


class RowSpace(NamedTuple):
    """A basis, and N (n₁, n₀): the direction of what each row of W₁ has orthogonal to the span; 0 for nothing."""

    basis: Basis
    N: Any

    def network_state(self, state: TrainState) -> TrainState:
        """Return the state of the network itself for that of the smaller one: W₁ is put together again."""
        # float64: T is large where rows nearly depend on each other, and what it adds up cancels
        N, basis = np.asarray(self.N, np.float64), self.basis

        def whole(leaf: Any) -> Any:
            V = np.asarray(leaf, np.float64)
            W = (V[:, :-1] @ basis.T.T) @ basis.rows + V[:, -1:] * N  # `basis.T` is the field T: T.T (r, m)
            return jnp.asarray(W.astype(leaf.dtype))

        return _map_first_weights(state, whole)


def orthonormal_basis(rows: np.ndarray, dtype: Any = np.float64) -> Basis | None:
    """Return a basis of the span of rows (m, n₀), accurate enough for training in a dtype.

    It is None where float64 cannot tell which rows depend on others.

    >>> rows = np.array([[3.0, 0.0, 4.0], [6.0, 0.0, 8.0]])    # one direction
    >>> basis = orthonormal_basis(rows)
    >>> basis.width, np.allclose(basis.T.T @ rows, [[0.6, 0.0, 0.8]]), np.allclose(basis.R, [[5.0, 10.0]])
    (2, True, True)
    """
    rows, tolerance, eps = np.asarray(rows, np.float64), TOLERANCES[np.dtype(dtype).name], np.finfo(np.float64).eps
    values, vectors = np.linalg.eigh(rows @ rows.T)  # in ascending order
    largest = values[-1]
    if not largest > 0:  # rows of zeros have no direction
        return None
    # a smaller eigenvalue is lost in the rounding of the largest, so what lies in its direction is looked at itself
    kept = values > largest * eps * len(rows)
    if np.linalg.norm(vectors[:, ~kept].T @ rows, axis=1).max(initial=0.0) > tolerance * np.sqrt(largest):
        return None
    values, vectors = values[kept], vectors[:, kept]
    # the sign of an eigenvector is the library's choice; fixed here, so that the same rows have the same basis
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    T, R = vectors / np.sqrt(values), (vectors * np.sqrt(values)).T
    if eps * largest > tolerance * values[0]:  # the same again of Q, whose K is nearly I: now all of it is accurate
        Q = T.T @ rows  # (r, n₀), transposed
        values, vectors = np.linalg.eigh(Q @ Q.T)
        # Q Qᵀ should be I: with an eigenvalue so far below 1, Q is too inaccurate for a single correction
        if values[0] < 0.5:
            return None
        correction = (vectors / np.sqrt(values)) @ vectors.T  # the symmetric root, which is nearly I
        T, R = T @ correction, (correction @ Q) @ rows.T
    return Basis(rows, T, R)


def is_exact(objective: Objective, config: TrainConfig, dtype: Any) -> bool:
    """Whether training in the space of the rows is training, to rounding."""
    off_the_rows = (objective.l1, objective.input_dropout, objective.input_noise)
    return (
        config.row_space
        and rotates_with_inputs(config.optimizer)
        and all(number is None for number in off_the_rows)
        and 1 not in config.freeze
        and config.precision != "bfloat16"
        and np.dtype(dtype).name in TOLERANCES
    )


def is_cheaper(net: Network, batches: Batches, epochs: int) -> bool:
    """Whether it saves more multiplications of the first layer, over all epochs, than the basis takes.

    >>> from jaxmlp.training.batches import Rows
    >>> cats = Batches(Rows(jnp.zeros((209, 12288)), jnp.zeros((209, 1))), None, 209, True, "binary")
    >>> net = Network((12288, 20, 7, 5, 1), "relu", "sigmoid")
    >>> is_cheaper(net, cats, epochs=20), is_cheaper(net, cats, epochs=10)
    (True, False)
    """
    m, n_0, n_1 = batches.n_rows, net.sizes[0], net.shapes[0].W[0]
    # with the rows of the validation part, which is evaluated in the same space; dependent rows make r smaller
    r = m + (0 if batches.validation is None else batches.validation.X.shape[0])
    saved = epochs * 2 * n_1 * m * (n_0 - r)  # W₁ X and dZ₁ Xᵀ
    # K and V in float64, which takes twice the time; about ten products (r, r) to find the eigenvectors
    return r < n_0 and saved > 2 * (n_0 * r**2 + n_1 * n_0 * r) + 20 * r**3


def find_row_space(
    net: Network, objective: Objective, config: TrainConfig, batches: object, snapshot: Snapshot
) -> tuple[RowSpace, Coordinates] | None:
    """Return the space in which a run trains from a snapshot on, and its state there; None for plain steps.

    A run that was begun with plain steps goes on with them: its momentum may have left the span of these rows.
    """
    state, coordinates = snapshot.state, snapshot.coordinates
    if not isinstance(batches, Batches) or batches.is_segmented or snapshot.partial is not None:
        return None
    if net.members is not None:  # R scales single inputs, which the space of the rows has not
        return None
    dtype = state.params[0]["W"].dtype
    if not (is_exact(objective, config, dtype) and is_cheaper(net, batches, config.epochs)):
        return None
    # after plain steps momentum and average are not those of a first step, from which `_first_coordinates` begins
    if coordinates is None and int(state.step) > 0:
        return None
    parts = [part.X for part in (batches.train, batches.validation) if part is not None]
    basis = orthonormal_basis(np.concatenate([np.asarray(X) for X in parts]), dtype)
    if basis is None:
        return None
    if coordinates is None:
        return _first_coordinates(basis, state)
    # coordinates are those of certain rows: in another basis they are another W₁
    space = RowSpace(basis, coordinates.N)
    if coordinates.state.params[0]["W"].shape[1] != basis.width:
        return None
    W = np.asarray(state.params[0]["W"])  # (n₁, n₀)
    again = np.asarray(space.network_state(coordinates.state).params[0]["W"])
    # W was put together from these coordinates: with the same rows it comes out again, to the rounding of its dtype
    is_same = np.allclose(W, again, rtol=0, atol=1e-5 * float(np.abs(W).max()))
    return (space, coordinates) if is_same else None


def _first_coordinates(basis: Basis, state: TrainState) -> tuple[RowSpace, Coordinates]:
    """Return the space and the coordinates of a state before its first step."""
    dtype, W = state.params[0]["W"].dtype, np.asarray(state.params[0]["W"], np.float64)
    V = (W @ basis.rows.T) @ basis.T  # (n₁, r)
    orthogonal = W - (V @ basis.T.T) @ basis.rows  # (n₁, n₀)
    norms = np.linalg.norm(orthogonal, axis=1, keepdims=True)  # ν, (n₁, 1)
    N = np.divide(orthogonal, norms, out=np.zeros_like(orthogonal), where=norms > 0).astype(dtype)
    first = np.concatenate([V, norms], axis=1).astype(dtype)  # (n₁, r + 1)
    # momentum begins with zeros, and an average with the parameters
    narrow = like_coordinates(state, basis.width).state

    def with_first(params: Any) -> Any:
        return ({**params[0], "W": jnp.array(first)}, *params[1:])  # a copy for each

    average = None if state.average is None else with_first(narrow.average)
    narrow = narrow._replace(params=with_first(narrow.params), average=average)
    return RowSpace(basis, N), Coordinates(narrow, jnp.asarray(N))


def rows_in(basis: Basis, batches: Any) -> Batches:
    """Return the batches with the coordinates of their rows instead of the rows."""
    m = batches.n_rows
    coordinates = np.pad(basis.R.T, ((0, 0), (0, 1)))  # (m, r + 1): the last feature is 0

    def replaced(rows: Rows, X: np.ndarray) -> Rows:
        return rows._replace(X=jnp.asarray(X.astype(rows.X.dtype)))

    validation = None if batches.validation is None else replaced(batches.validation, coordinates[m:])
    return batches._replace(train=replaced(batches.train, coordinates[:m]), validation=validation)


def like_coordinates(state: TrainState, width: int) -> Coordinates:
    """Return coordinates of the shapes that a state has in a basis of this width, filled with zeros."""
    narrow = _map_first_weights(state, lambda leaf: jnp.zeros((leaf.shape[0], width), leaf.dtype))
    return Coordinates(narrow, jnp.zeros_like(state.params[0]["W"]))


def _map_first_weights(state: State, change: Any) -> State:
    """Return the state with W₁ replaced, in the parameters and wherever an optimizer or an average has its like."""
    # a path that ends in (0, "W"): of the parameters, and of every tree like them that an optimizer holds
    is_first = (jax.tree_util.SequenceKey(0), jax.tree_util.DictKey("W"))
    return jax.tree_util.tree_map_with_path(lambda path, leaf: change(leaf) if path[-2:] == is_first else leaf, state)
