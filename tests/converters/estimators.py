"""Estimators of scikit-learn, each with what it learns from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import (
    calibration,
    cluster,
    compose,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.gaussian_process import kernels

from .common import (
    HOLES,
    HOLES_TEST,
    NAMES,
    NUMBERS,
    NUMBERS_TEST,
    POSITIVE,
    POSITIVE_TEST,
    TARGET,
    TARGETS,
    TEXTS,
    TEXTS_TEST,
    THREE,
    TWO,
    WORDS,
    WORDS_TEST,
    Estimator,
)

LABEL_AND_PROBABILITIES = ("predict", "predict_proba")
LABEL_AND_DECISION = ("predict", "decision_function")


def classifier(id: str, make: Any, y: np.ndarray = THREE, **rest: Any) -> Estimator:
    return Estimator(id, make, y=y, **{"methods": LABEL_AND_PROBABILITIES, "options": {"zipmap": False}, **rest})


def margins(id: str, make: Any, y: np.ndarray = THREE, **rest: Any) -> Estimator:
    options = {"raw_scores": True, "zipmap": False}
    return Estimator(id, make, y=y, methods=LABEL_AND_DECISION, **{"options": options, **rest})


def regressor(id: str, make: Any, y: np.ndarray = TARGET, **rest: Any) -> Estimator:
    return Estimator(id, make, y=y, **rest)


def transformer(id: str, make: Any, **rest: Any) -> Estimator:
    return Estimator(id, make, methods=("transform",), **rest)


def forest(kind: Any, **rest: Any) -> Any:
    return lambda: kind(n_estimators=17, max_depth=6, random_state=0, **rest)


def trees() -> Iterator[Estimator]:
    yield classifier("decision-tree", lambda: tree.DecisionTreeClassifier(max_depth=5, random_state=0))
    yield classifier("random-forest", forest(ensemble.RandomForestClassifier))
    yield classifier("random-forest-binary", forest(ensemble.RandomForestClassifier), y=TWO)
    yield classifier("random-forest-names", forest(ensemble.RandomForestClassifier), y=NAMES)
    yield classifier("extra-trees", forest(ensemble.ExtraTreesClassifier))
    yield classifier("bagging", lambda: ensemble.BaggingClassifier(n_estimators=5, random_state=0))
    yield classifier(
        "ada-boost",
        lambda: ensemble.AdaBoostClassifier(tree.DecisionTreeClassifier(max_depth=2), n_estimators=9, random_state=0),
    )
    for name, y in [("binary", TWO), ("multi", THREE)]:
        gradient = lambda: ensemble.GradientBoostingClassifier(n_estimators=13, random_state=0)  # noqa: E731
        yield classifier(f"gradient-boosting-{name}", gradient, y=y)
        histogram = lambda: ensemble.HistGradientBoostingClassifier(max_iter=13, random_state=0)  # noqa: E731
        yield classifier(f"histogram-gradient-boosting-{name}", histogram, y=y)
    yield regressor("decision-tree-regressor", lambda: tree.DecisionTreeRegressor(max_depth=5, random_state=0))
    yield regressor("random-forest-regressor", forest(ensemble.RandomForestRegressor))
    yield regressor("random-forest-two-targets", forest(ensemble.RandomForestRegressor), y=TARGETS)
    yield regressor("extra-trees-regressor", forest(ensemble.ExtraTreesRegressor))
    yield regressor("gradient-boosting-regressor", forest(ensemble.GradientBoostingRegressor))
    yield regressor(
        "histogram-gradient-boosting-holes",
        lambda: ensemble.HistGradientBoostingRegressor(max_iter=13, random_state=0),
        x=HOLES,
        x_test=HOLES_TEST,
    )
    yield regressor(
        "ada-boost-regressor",
        lambda: ensemble.AdaBoostRegressor(tree.DecisionTreeRegressor(max_depth=3), n_estimators=7, random_state=0),
    )
    yield Estimator(
        "isolation-forest",
        lambda: ensemble.IsolationForest(n_estimators=11, random_state=0),
        methods=LABEL_AND_DECISION,
        atol=1e-4,
    )


def machines() -> Iterator[Estimator]:
    """Support vector machines."""
    for kernel in ["linear", "poly", "rbf", "sigmoid"]:
        yield margins(f"svc-{kernel}", lambda kernel=kernel: svm.SVC(kernel=kernel, decision_function_shape="ovo"))
    yield margins("svc-one-against-rest", lambda: svm.SVC(), atol=1e-4)
    yield margins("svc-binary", lambda: svm.SVC(), y=TWO)
    yield classifier("svc-probability", lambda: svm.SVC(probability=True, random_state=0), atol=1e-4)
    yield classifier("svc-probability-binary", lambda: svm.SVC(probability=True, random_state=0), y=TWO, atol=1e-4)
    yield classifier("svc-probability-names", lambda: svm.SVC(probability=True, random_state=0), y=NAMES, atol=1e-4)
    yield classifier("nu-svc", lambda: svm.NuSVC(nu=0.3, probability=True, random_state=0), atol=1e-4)
    yield margins("linear-svc", lambda: svm.LinearSVC(random_state=0), options={"raw_scores": True})
    for kernel in ["linear", "poly", "rbf", "sigmoid"]:
        yield regressor(f"svr-{kernel}", lambda kernel=kernel: svm.SVR(kernel=kernel), atol=1e-4)
    yield regressor("nu-svr", lambda: svm.NuSVR())
    yield regressor("linear-svr", lambda: svm.LinearSVR(random_state=0))
    yield Estimator("one-class-svm", lambda: svm.OneClassSVM(nu=0.2), methods=LABEL_AND_DECISION, atol=1e-4)


def linear() -> Iterator[Estimator]:
    yield classifier("logistic-regression", lambda: linear_model.LogisticRegression())
    yield classifier("logistic-regression-binary", lambda: linear_model.LogisticRegression(), y=TWO)
    yield classifier("sgd", lambda: linear_model.SGDClassifier(loss="log_loss", random_state=0))
    yield margins("ridge-classifier", lambda: linear_model.RidgeClassifier())
    yield classifier("one-against-rest", lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression()))
    for make in [
        linear_model.LinearRegression,
        linear_model.Ridge,
        linear_model.Lasso,
        linear_model.ElasticNet,
        linear_model.BayesianRidge,
        linear_model.HuberRegressor,
    ]:
        yield regressor(make.__name__, make)
    yield regressor("linear-two-targets", linear_model.LinearRegression, y=TARGETS)
    yield regressor("sgd-regressor", lambda: linear_model.SGDRegressor(random_state=0))
    yield regressor("poisson", linear_model.PoissonRegressor, y=np.abs(TARGET))
    yield regressor("pls", lambda: cross_decomposition.PLSRegression(2), y=TARGETS)


def others() -> Iterator[Estimator]:
    yield Estimator("k-means", lambda: cluster.KMeans(5, n_init=1, random_state=0), methods=("predict", "transform"))
    yield classifier("k-neighbours", lambda: neighbors.KNeighborsClassifier(5))
    yield classifier("k-neighbours-manhattan", lambda: neighbors.KNeighborsClassifier(3, metric="manhattan"))
    yield regressor("k-neighbours-regressor", lambda: neighbors.KNeighborsRegressor(5))
    yield regressor("gaussian-process-regressor", _gaussian_process, atol=1e-3)
    network = {"hidden_layer_sizes": (7, 4), "max_iter": 40, "random_state": 0}
    for activation in ["relu", "tanh", "logistic", "identity"]:
        yield classifier(
            f"network-{activation}", lambda a=activation: neural_network.MLPClassifier(activation=a, **network)
        )
    yield classifier("network-binary", lambda: neural_network.MLPClassifier(**network), y=TWO)
    yield regressor("network-regressor", lambda: neural_network.MLPRegressor(**network))
    yield classifier("gaussian-bayes", naive_bayes.GaussianNB)
    yield classifier("bernoulli-bayes", naive_bayes.BernoulliNB)
    for make in [naive_bayes.MultinomialNB, naive_bayes.ComplementNB]:
        yield classifier(make.__name__, make, x=POSITIVE, x_test=POSITIVE_TEST)
    yield classifier("linear-discriminant", discriminant_analysis.LinearDiscriminantAnalysis)
    yield classifier("quadratic-discriminant", discriminant_analysis.QuadraticDiscriminantAnalysis, atol=1e-4)
    yield Estimator(
        "gaussian-mixture",
        lambda: mixture.GaussianMixture(3, random_state=0),
        methods=LABEL_AND_PROBABILITIES,
        atol=1e-4,
    )
    logistic = linear_model.LogisticRegression
    members = [("a", logistic()), ("b", tree.DecisionTreeClassifier(max_depth=3, random_state=0))]
    yield classifier("voting", lambda: ensemble.VotingClassifier(members, voting="soft", flatten_transform=False))
    yield classifier(
        "voting-hard", lambda: ensemble.VotingClassifier(members, flatten_transform=False), methods=("predict",)
    )
    yield classifier("stacking", lambda: ensemble.StackingClassifier(members, logistic(), cv=2))
    yield classifier("calibrated", lambda: calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2))
    pair = [("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3, random_state=0))]
    yield regressor("voting-regressor", lambda: ensemble.VotingRegressor(pair))
    yield regressor("stacking-regressor", lambda: ensemble.StackingRegressor(pair, linear_model.Ridge(), cv=2))


def _gaussian_process() -> Any:
    kernel = kernels.ConstantKernel(2.0) * kernels.RBF(1.3) + kernels.DotProduct() + kernels.WhiteKernel(0.1)
    return gaussian_process.GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)


def transformers() -> Iterator[Estimator]:
    yield transformer("pca", lambda: decomposition.PCA(3))
    yield transformer("pca-whiten", lambda: decomposition.PCA(3, whiten=True))
    yield transformer("truncated-svd", lambda: decomposition.TruncatedSVD(3, random_state=0))
    for make in [
        preprocessing.StandardScaler,
        preprocessing.MinMaxScaler,
        preprocessing.MaxAbsScaler,
        preprocessing.RobustScaler,
        preprocessing.PowerTransformer,
    ]:
        yield transformer(make.__name__, make)
    for norm in ["l1", "l2", "max"]:
        yield transformer(f"normalizer-{norm}", lambda norm=norm: preprocessing.Normalizer(norm))
    yield transformer("binarizer", lambda: preprocessing.Binarizer(threshold=0.25))
    for encode in ["ordinal", "onehot-dense"]:
        bins = lambda encode=encode: preprocessing.KBinsDiscretizer(4, encode=encode, quantile_method="linear")  # noqa: E731
        yield transformer(f"bins-{encode}", bins)
    yield transformer("polynomial", lambda: preprocessing.PolynomialFeatures(3))
    yield transformer("polynomial-interactions", lambda: preprocessing.PolynomialFeatures(2, interaction_only=True))
    for kind, x, x_test in [("words", WORDS, WORDS_TEST), ("numbers", NUMBERS, NUMBERS_TEST)]:
        hot = lambda: preprocessing.OneHotEncoder(handle_unknown="ignore")  # noqa: E731
        yield transformer(f"one-hot-{kind}", hot, x=x, x_test=x_test)
        order = lambda: preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)  # noqa: E731
        yield transformer(f"ordinal-{kind}", order, x=x, x_test=x_test)
    yield transformer("label-encoder", preprocessing.LabelEncoder, x=NAMES, x_test=NAMES[:31])
    yield transformer("label-binarizer", preprocessing.LabelBinarizer, x=THREE, x_test=THREE[:31])
    for strategy in ["mean", "median", "most_frequent", "constant"]:
        yield transformer(
            f"imputer-{strategy}",
            lambda strategy=strategy: impute.SimpleImputer(strategy=strategy),
            x=HOLES,
            x_test=HOLES_TEST,
        )
    yield transformer("imputer-neighbours", lambda: impute.KNNImputer(n_neighbors=3), x=HOLES, x_test=HOLES_TEST)
    yield transformer("select", lambda: feature_selection.SelectKBest(k=2), y=THREE)


def texts() -> Iterator[Estimator]:
    text = feature_extraction.text
    rows = {"x": TEXTS, "x_test": TEXTS_TEST}
    yield transformer("count-words", text.CountVectorizer, **rows)
    yield transformer("count-pairs", lambda: text.CountVectorizer(ngram_range=(1, 2), binary=True), **rows)
    yield transformer("tfidf-words", text.TfidfVectorizer, **rows)
    yield transformer("tfidf-pairs", lambda: text.TfidfVectorizer(ngram_range=(1, 2), norm="l1"), **rows)
    yield transformer(
        "tfidf-pattern", lambda: text.TfidfVectorizer(token_pattern="[a-z]+", stop_words=["the", "a"]), **rows
    )
    yield transformer("tfidf-characters", lambda: text.TfidfVectorizer(analyzer="char", ngram_range=(1, 2)), **rows)
    yield classifier(
        "text-pipeline",
        lambda: pipeline.make_pipeline(text.TfidfVectorizer(), linear_model.LogisticRegression()),
        y=np.array([0, 1, 1, 0, 1, 0]),
        **rows,
    )


def column_pipeline() -> Any:
    """Two columns of numbers and one of words, each kind prepared in its own way."""
    numbers = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    words = preprocessing.OneHotEncoder(handle_unknown="ignore")
    columns = compose.ColumnTransformer([("numbers", numbers, [0, 1]), ("words", words, [2])])
    return pipeline.make_pipeline(columns, linear_model.LogisticRegression())


ESTIMATORS = [*trees(), *machines(), *linear(), *others(), *transformers(), *texts()]
