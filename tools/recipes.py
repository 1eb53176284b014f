"""What the compiled dependencies are made from: the table that ``tools/deps.py`` works off.

The text of a recipe is part of the name of the folder that holds its result, so a changed recipe is
built anew, and one that is left alone is found again.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """Where the source of a dependency comes from.

    Attributes:
        package: Debian's source package.
        suite: The suite of Debian that has it.
        archive: The file of the package that is wanted, and its ``sha256``.
        upstream: The same version where there is no Debian.
        folder: The part of Debian's archive that upstream releases by itself.
    """

    package: str
    suite: str
    archive: str
    sha256: str
    upstream: str
    # Not part of the text of the recipes that do without it.
    folder: str = field(default="", repr=False)


@dataclass(frozen=True)
class Recipe:
    """How one dependency is built.

    Attributes:
        name: Short name, also the folder's prefix.
        version: Version of the source.
        source: Where the source comes from; ``None`` for one that an installed package carries.
        cmake: Arguments of the CMake configure step.
        cmake_dir: Folder of the ``CMakeLists.txt``, relative to the source; a leading ``repo:``
            means a folder of this repository.
        prune: Regular expressions; a ``.cpp`` whose path, less its suffix, matches one is left out.
        opt: Pairs of (regular expression as above, flag): the optimisation level of single files.
        needs: Recipes whose prefixes this one finds.
        target: The one target to build, where the project has more that nobody needs.
        files: With ``target``, what is kept in place of the project's own installation: pairs of
            (file, folder of the prefix). A file's path starts at ``src/`` or at ``build/``.
        fill: Files that Debian's archive lacks and upstream's has: pairs of (file, the source of
            another version that has it, or ``None`` where an empty one does).
    """

    name: str
    version: str
    source: Source | None
    cmake: tuple[str, ...] = ()
    cmake_dir: str = "."
    prune: tuple[str, ...] = ()
    opt: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = field(default=())
    # Not part of the text of the recipes that do without them.
    target: str = field(default="", repr=False)
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    fill: tuple[tuple[str, Source | None], ...] = field(default=(), repr=False)

    def text(self) -> str:
        """Returns what the result depends on."""
        folder = self.source.folder if self.source else ""
        return repr(self) + (repr((self.target, self.files, self.fill)) if self.target else "") + folder


# This version needs Abseil, which is larger than itself; the tables of characters are the same.
RE2_TABLES = Source(
    package="re2",
    suite="trixie",
    archive="re2_20240702.orig.tar.gz",
    sha256="eb2df807c781601c14a260a507a5bb4509be1ee626024cb45acbd57cb9d4032b",
    upstream="https://github.com/google/re2/archive/refs/tags/2024-07-02.tar.gz",
)


RECIPES = (
    Recipe(
        name="onednn",
        version="3.7.2",
        source=Source(
            package="onednn",
            suite="trixie",
            archive="onednn_3.7.2+ds.orig.tar.xz",
            sha256="0cc51ca26c1af6a2bb1e71e378e7046f3ceb3e71791ee9d4e246d50f904a6ea6",
            upstream="https://github.com/uxlfoundation/oneDNN/archive/refs/tags/v3.7.2.tar.gz",
        ),
        cmake=(
            "-DONEDNN_LIBRARY_TYPE=STATIC",
            "-DONEDNN_CPU_RUNTIME=THREADPOOL",
            "-DONEDNN_GPU_RUNTIME=NONE",
            "-DONEDNN_BUILD_GRAPH=OFF",
            "-DONEDNN_BUILD_DOC=OFF",
            "-DONEDNN_BUILD_EXAMPLES=OFF",
            "-DONEDNN_BUILD_TESTS=OFF",
            "-DONEDNN_ENABLE_WORKLOAD=INFERENCE",
            "-DONEDNN_ENABLE_PRIMITIVE=CONVOLUTION;MATMUL;POOLING;REORDER",
            "-DONEDNN_ENABLE_PRIMITIVE_CPU_ISA=AVX512",
            "-DONEDNN_ENABLE_JIT_PROFILING=OFF",
            "-DONEDNN_ENABLE_ITT_TASKS=OFF",
            "-DONEDNN_EXPERIMENTAL=OFF",
            "-DONEDNN_ENABLE_MAX_CPU_ISA=ON",
            "-DONEDNN_ENABLE_PRIMITIVE_CACHE=ON",
        ),
        # An inference-only build with four primitives never refers to these.
        prune=(
            r"src/cpu/(x64/)?rnn/",
            r"src/cpu/x64/(lrn|prelu|shuffle)/",
            r"src/cpu/(x64/)?(?!cpu_)[^/]*(batch|group|instance|layer)_normalization[^/]*$",
            r"src/cpu/(x64/)?(?!cpu_)[^/]*(lrn|resampling|softmax|shuffle|prelu|deconv)[^/]*$",
            r"src/cpu/x64/jit_uni_(binary|eltwise|eltwise_int|reduction|reduction_kernel|xf16_sum)$",
            r"src/cpu/(ref|gemm_x8s8s32x)_inner_product[^/]*$",
            r"src/cpu/gemm_inner_product$",
            r"src/cpu/x64/(gemm_bf16|jit_brgemm)_inner_product[^/]*$",
            r"src/cpu/x64/jit_brgemm_conv_bwd[^/]*$",
            r"src/cpu/x64/jit_avx512_core_amx_(1x1_)?convolution$",
            r"src/cpu/x64/jit_avx512_core_amx_1x1_conv_kernel$",
            r"src/cpu/sycl/",
        ),
        # These only emit machine code when a primitive is made; how they were optimised themselves
        # does not change what they emit.
        opt=(
            (r"src/cpu/x64/gemm/.*_kern(_part\d)?(_autogen)?$", "-O0"),
            (r"src/cpu/x64/.*(kernel|injector|copy_utils|transpose_utils|postops|io_helper)[^/]*$", "-O1"),
            (r"src/cpu/x64/jit_(uni_reorder|brgemm_post_ops)[^/]*$", "-O1"),
            (r"src/cpu/reorder/", "-O1"),
        ),
    ),
    Recipe(
        name="highway",
        version="1.2.0",
        source=Source(
            package="highway",
            suite="trixie",
            archive="highway_1.2.0.orig.tar.gz",
            sha256="7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343",
            upstream="https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz",
        ),
        cmake=(
            "-DHWY_ENABLE_CONTRIB=OFF",
            "-DHWY_ENABLE_EXAMPLES=OFF",
            "-DHWY_ENABLE_TESTS=OFF",
            "-DBUILD_TESTING=OFF",
        ),
    ),
    Recipe(
        name="protobuf",
        version="3.21.12",
        source=Source(
            package="protobuf",
            suite="bookworm",
            archive="protobuf_3.21.12.orig.tar.gz",
            sha256="930c2c3b5ecc6c9c12615cf5ad93f1cd6e12d0aba862b572e076259970ac3a53",
            upstream="https://github.com/protocolbuffers/protobuf/archive/refs/tags/v3.21.12.tar.gz",
        ),
        cmake=(
            "-Dprotobuf_BUILD_TESTS=OFF",
            "-Dprotobuf_BUILD_PROTOC_BINARIES=OFF",
            "-Dprotobuf_BUILD_SHARED_LIBS=OFF",
            "-Dprotobuf_WITH_ZLIB=OFF",
        ),
    ),
    Recipe(
        name="onnx",
        version="1.23.2",
        source=None,
        cmake_dir="repo:cmake/onnx",
        needs=("protobuf",),
    ),
    # ---- text ----
    Recipe(
        name="re2",
        version="20220601",
        source=Source(
            package="re2",
            suite="bookworm",
            archive="re2_20220601+dfsg.orig.tar.xz",
            sha256="3bc61251da3b0b97be40a8a127818c517c62516e4eda11fc901d29496663df54",
            upstream="https://github.com/google/re2/archive/refs/tags/2022-06-01.tar.gz",
        ),
        cmake=("-DRE2_BUILD_TESTING=OFF",),
        target="re2",
        fill=(
            ("re2/perl_groups.cc", RE2_TABLES),
            ("re2/unicode_casefold.cc", RE2_TABLES),
            ("re2/unicode_groups.cc", RE2_TABLES),
        ),
        files=(("build/libre2.a", "lib"), ("src/re2/re2.h", "include/re2"), ("src/re2/stringpiece.h", "include/re2")),
    ),
    Recipe(
        name="utf8proc",
        version="2.8.0",
        source=Source(
            package="utf8proc",
            suite="bookworm",
            archive="utf8proc_2.8.0.orig.tar.gz",
            sha256="a0a60a79fe6f6d54e7d411facbfcc867a6e198608f2cd992490e46f04b1bcecc",
            upstream="https://github.com/JuliaStrings/utf8proc/archive/refs/tags/v2.8.0.tar.gz",
        ),
        target="utf8proc",
        files=(("build/libutf8proc.a", "lib"), ("src/utf8proc.h", "include")),
    ),
    # ---- pictures: what decodes, and nothing else ----
    Recipe(
        name="zlib",
        version="1.3.1",
        source=Source(
            package="zlib",
            suite="trixie",
            archive="zlib_1.3.dfsg+really1.3.1.orig.tar.gz",
            sha256="60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb",
            upstream="https://github.com/madler/zlib/archive/refs/tags/v1.3.1.tar.gz",
        ),
        cmake=("-DZLIB_BUILD_EXAMPLES=OFF",),
        target="zlibstatic",
        fill=(("win32/zlib1.rc", None),),
        files=(("build/libz.a", "lib"), ("src/zlib.h", "include"), ("build/zconf.h", "include")),
    ),
    Recipe(
        name="jpeg",
        version="2.1.5",
        source=Source(
            package="libjpeg-turbo",
            suite="trixie",
            archive="libjpeg-turbo_2.1.5.orig.tar.gz",
            sha256="254f3642b04e309fee775123133c6464181addc150499561020312ec61c1bf7c",
            upstream="https://github.com/libjpeg-turbo/libjpeg-turbo/archive/refs/tags/2.1.5.tar.gz",
        ),
        cmake=(
            "-DENABLE_SHARED=OFF",
            "-DWITH_TURBOJPEG=OFF",
            "-DWITH_ARITH_ENC=OFF",
            "-DREQUIRE_SIMD=OFF",
            # The same pictures come out without the assembler's routines, at about half the speed.
            f"-DWITH_SIMD={'ON' if shutil.which('nasm') or shutil.which('yasm') else 'OFF'}",
        ),
        target="jpeg-static",
        files=(
            ("build/libjpeg.a", "lib"),
            ("build/jconfig.h", "include"),
            ("src/jpeglib.h", "include"),
            ("src/jmorecfg.h", "include"),
            ("src/jerror.h", "include"),
        ),
    ),
    Recipe(
        name="png",
        version="1.6.48",
        source=Source(
            package="libpng1.6",
            suite="trixie",
            archive="libpng1.6_1.6.48.orig.tar.gz",
            sha256="b17e99026055727e8cba99160c3a9a7f9af788e9f786daeadded5a42243f1dd0",
            upstream="https://github.com/pnggroup/libpng/archive/refs/tags/v1.6.48.tar.gz",
        ),
        cmake=("-DPNG_SHARED=OFF", "-DPNG_FRAMEWORK=OFF", "-DPNG_TESTS=OFF", "-DPNG_TOOLS=OFF"),
        needs=("zlib",),
        target="png_static",
        files=(
            ("build/libpng16.a", "lib"),
            ("build/pnglibconf.h", "include"),
            ("src/png.h", "include"),
            ("src/pngconf.h", "include"),
        ),
    ),
    Recipe(
        name="webp",
        version="1.5.0",
        source=Source(
            package="libwebp",
            suite="trixie",
            archive="libwebp_1.5.0.orig.tar.gz",
            sha256="7d6fab70cf844bf6769077bd5d7a74893f8ffd4dfb42861745750c63c2a5c92c",
            upstream="https://github.com/webmproject/libwebp/archive/refs/tags/v1.5.0.tar.gz",
        ),
        cmake=(
            "-DWEBP_USE_THREAD=OFF",
            "-DWEBP_BUILD_ANIM_UTILS=OFF",
            "-DWEBP_BUILD_CWEBP=OFF",
            "-DWEBP_BUILD_DWEBP=OFF",
            "-DWEBP_BUILD_EXTRAS=OFF",
            "-DWEBP_BUILD_GIF2WEBP=OFF",
            "-DWEBP_BUILD_IMG2WEBP=OFF",
            "-DWEBP_BUILD_LIBWEBPMUX=OFF",
            "-DWEBP_BUILD_VWEBP=OFF",
            "-DWEBP_BUILD_WEBPINFO=OFF",
            "-DWEBP_BUILD_WEBPMUX=OFF",
        ),
        target="webpdecoder",
        files=(
            ("build/libwebpdecoder.a", "lib"),
            ("src/src/webp/decode.h", "include/webp"),
            ("src/src/webp/types.h", "include/webp"),
        ),
    ),
    Recipe(
        name="tiff",
        version="4.7.0",
        source=Source(
            package="tiff",
            suite="trixie",
            archive="tiff_4.7.0.orig.tar.bz2",
            sha256="2b8b5c4e79cb2a4651796602e45d6179b7f18bc283feab417b8e881ef7e81862",
            upstream="https://gitlab.com/libtiff/libtiff/-/archive/v4.7.0/libtiff-v4.7.0.tar.bz2",
        ),
        cmake=(
            "-Dtiff-tools=OFF",
            "-Dtiff-tests=OFF",
            "-Dtiff-contrib=OFF",
            "-Dtiff-docs=OFF",
            "-Dtiff-cxx=OFF",
            "-Dld-version-script=OFF",
            "-Djbig=OFF",
            "-Djpeg12=OFF",
            "-Dlerc=OFF",
            "-Dlibdeflate=OFF",
            "-Dlogluv=OFF",
            "-Dlzma=OFF",
            "-Dmdi=OFF",
            "-Dnext=OFF",
            "-Dold-jpeg=OFF",
            "-Dpixarlog=OFF",
            "-Dthunder=OFF",
            "-Dwebp=OFF",
            "-Dzstd=OFF",
        ),
        needs=("zlib", "jpeg"),
        target="tiff",
        files=(
            ("build/libtiff/libtiff.a", "lib"),
            ("build/libtiff/tiffconf.h", "include"),
            ("build/libtiff/tiffvers.h", "include"),
            ("src/libtiff/tiff.h", "include"),
            ("src/libtiff/tiffio.h", "include"),
        ),
    ),
    Recipe(
        name="openjpeg",
        version="2.5.3",
        source=Source(
            package="openjpeg2",
            suite="trixie",
            archive="openjpeg2_2.5.3.orig.tar.xz",
            sha256="3100f0316e922630112cf6d72c0c20776896e64ad7eab72c2f713c460287eb92",
            upstream="https://github.com/uclouvain/openjpeg/archive/refs/tags/v2.5.3.tar.gz",
        ),
        cmake=("-DBUILD_CODEC=OFF", "-DBUILD_PKGCONFIG_FILES=OFF", "-DBUILD_TESTING=OFF", "-DOPJ_USE_THREAD=OFF"),
        target="openjp2",
        files=(
            ("build/bin/libopenjp2.a", "lib"),
            ("build/src/lib/openjp2/opj_config.h", "include"),
            ("src/src/lib/openjp2/openjpeg.h", "include"),
        ),
    ),
    # ---- Vulkan: headers, and the compiler of the shaders, which runs only while fastort is built ----
    Recipe(
        name="vulkan-headers",
        version="1.4.309",
        source=Source(
            package="vulkan-loader",
            suite="trixie",
            archive="vulkan-loader_1.4.309.0.orig.tar.xz",
            sha256="6e37284e5c8ef5f06cef273cc207f0b31cb3b63c1ea2875639e843b01da4e6d7",
            upstream="https://github.com/KhronosGroup/Vulkan-Headers/archive/refs/tags/v1.4.309.tar.gz",
            folder="vulkan-headers",
        ),
        cmake=("-DVULKAN_HEADERS_ENABLE_TESTS=OFF", "-DVULKAN_HEADERS_ENABLE_MODULE=OFF"),
    ),
    Recipe(
        name="glslang",
        version="15.1.0",
        source=Source(
            package="glslang",
            suite="trixie",
            archive="glslang_15.1.0+1.4.309.0.orig.tar.gz",
            sha256="180f17ea51e6b71bf57b9e0fea78ba3ecd76e3ec8e4c91f0771b922eb22bf4b2",
            upstream="https://github.com/KhronosGroup/glslang/archive/refs/tags/15.1.0.tar.gz",
        ),
        cmake=(
            "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
            "-DBUILD_EXTERNAL=OFF",
            "-DENABLE_HLSL=OFF",
            "-DENABLE_OPT=OFF",
            "-DENABLE_PCH=OFF",
            "-DENABLE_SPVREMAPPER=OFF",
            "-DGLSLANG_ENABLE_INSTALL=OFF",
            "-DGLSLANG_TESTS=OFF",
        ),
        target="glslang-standalone",
        files=(("build/StandAlone/glslang", "bin"),),
    ),
)

# What only the operator ImageDecoder takes; a build without it does without them.
IMAGE_CODECS = frozenset({"zlib", "jpeg", "png", "webp", "tiff", "openjpeg"})

# What only the Vulkan provider takes.
VULKAN = frozenset({"vulkan-headers", "glslang"})
