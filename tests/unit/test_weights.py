"""`load_weights` from models of another dtype and from any .npz; what is no array is refused, and nothing changed."""

import io
import struct
import zipfile

import numpy as np
import pytest

from minidl import LSTM, Dense, ModelFormatError, Sequential


def net_of(seed=0, dtype=np.float32):
    net = Sequential([LSTM(3), Dense(2)])
    net.build((None, 2), seed=seed, dtype=dtype)
    return net


def arrays_of(net):
    return {name: p.value.copy() for name, p in net.params.items()}


def npy(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def zipped(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(("of", "into"), [(np.float64, np.float32), (np.float32, np.float64)])
def test_numbers_are_cast(tmp_path, of, into):
    given, net = net_of(1, of), net_of(2, into)
    given.save(tmp_path / "net.npz")
    assert net.load_weights(tmp_path / "net.npz") == ([], [], [])
    for name, p in net.params.items():
        assert p.value.dtype == into and (p.value == given.params[name].value.astype(into)).all()


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, ">f8"])
def test_any_npz_will_do(tmp_path, write, dtype):
    net = net_of()
    values = {name: (10 * a).astype(dtype) for name, a in arrays_of(net_of(1)).items()}
    write(tmp_path / "w.npz", **values)
    assert net.load_weights(tmp_path / "w.npz") == ([], [], [])
    assert all((p.value == values[name].astype(np.float32)).all() for name, p in net.params.items())


def test_an_npz_of_the_parameters_themselves(tmp_path):
    net, other = net_of(1), net_of(2)
    np.savez(tmp_path / "w.npz", **net.params)
    other.load_weights(tmp_path / "w.npz")
    assert all((p.value == net.params[name].value).all() for name, p in other.params.items())


def test_arrays_in_columns_and_those_that_fit_alone(tmp_path):
    net, values = net_of(), arrays_of(net_of(1))
    del values["lstm.b"]
    values |= {"dense.W": np.asfortranarray(values["dense.W"]), "dense.b": np.ones(3), "else": np.ones(1)}
    np.savez(tmp_path / "w.npz", **values)
    before = arrays_of(net)
    with pytest.raises(ModelFormatError, match=r"missing 'lstm.b'; unexpected 'else'; misshapen 'dense.b' \(3,\) of f"):
        net.load_weights(tmp_path / "w.npz")
    assert all((p.value == before[name]).all() for name, p in net.params.items())
    assert net.load_weights(tmp_path / "w.npz", strict=False) == (["lstm.b"], ["else"], ["dense.b"])
    assert (net.params["dense.W"].value == values["dense.W"]).all()


@pytest.mark.parametrize("value", [np.ones((3, 2), complex), np.ones((3, 2), bool), np.full((3, 2), "a")])
def test_what_are_no_real_numbers_does_not_fit(tmp_path, value):
    np.savez(tmp_path / "w.npz", **arrays_of(net_of()) | {"dense.W": value})
    with pytest.raises(ModelFormatError, match=r"misshapen 'dense.W'"):
        net_of().load_weights(tmp_path / "w.npz")


def test_numbers_that_float32_does_not_hold_are_refused(tmp_path):
    values = arrays_of(net_of(dtype=np.float64))
    values["dense.W"][0, 0] = 1e200
    np.savez(tmp_path / "w.npz", **values)
    net = net_of(3)
    before = arrays_of(net)
    with pytest.raises(ModelFormatError, match=r"holds 1e\+200 in .dense.W., more than float32 takes"):
        net.load_weights(tmp_path / "w.npz")
    assert all((p.value == before[name]).all() for name, p in net.params.items())


def objects():
    return npy(np.full((3, 2), {}, object))


def lying():
    """A header that tells of a small array, and a long content behind it."""
    return npy(np.ones((3, 2), np.float32)) + bytes(2**20)


def of_many_fields():
    return npy(np.zeros(1, [(f"field {k}", float) for k in range(500)]))


def of_another_version():
    content = bytearray(npy(np.ones((3, 2), np.float32)))
    content[6] = 9
    return bytes(content)


@pytest.mark.parametrize("content", [objects(), lying(), of_many_fields(), of_another_version(), b"", b"no array"])
def test_members_that_are_no_arrays_are_refused(tmp_path, content):
    values = [(f"{name}.npy", npy(a)) for name, a in arrays_of(net_of()).items() if name != "dense.W"]
    path = zipped(tmp_path / "w.npz", [*values, ("dense.W.npy", content)])
    net = net_of(1)
    before = arrays_of(net)
    with pytest.raises(ModelFormatError):
        net.load_weights(path)
    assert all((p.value == before[name]).all() for name, p in net.params.items())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_other_members_are_refused(tmp_path):
    values = [(f"{name}.npy", npy(a)) for name, a in arrays_of(net_of()).items()]
    for more in ("readme.txt", b"hello"), values[0], ("../dense.W.txt", b""):
        with pytest.raises(ModelFormatError, match="is not an array with a name of its own"):
            net_of().load_weights(zipped(tmp_path / "w.npz", [*values, more]))


def test_a_bomb_is_not_unpacked(tmp_path):
    """Ten arrays of a gigabyte that the net has no place for are named, and not read."""
    header = npy(np.zeros(0))[:128].replace(b"(0,)", b"(134217728,)")
    content = header[: 6 + 2] + struct.pack("<H", 118) + header[10:127].ljust(117) + b"\n" + bytes(2**27)
    path = zipped(tmp_path / "w.npz", [("big.npy", content)], zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFormatError, match="unexpected 'big'"):
        net_of().load_weights(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"no model", bytes(100)])
def test_what_is_no_archive_is_no_model(tmp_path, content):
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(ModelFormatError, match="is no model of minidl"):
        net_of().load_weights(tmp_path / "w.npz")
