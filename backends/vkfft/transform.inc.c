// SPDX-License-Identifier: Apache-2.0
// Transforms by VkFFT, the same for every driver. Read by each backend's fft.c after vkFFT.h and its own struct vkfft_binding, what
// it keeps with a transform and VkFFT may know the address of. It also has the two functions declared below.

typedef struct vkfft_transform {
    hel_transform base;
    vkfft_guard guard;
    vkfft_binding binding;
    VkFFTConfiguration configuration;
    VkFFTApplication application;
} vkfft_transform;

// Puts what VkFFT must know of the driver into its configuration.
static void vkfft_configure(const hel_device *device, vkfft_binding *binding, VkFFTConfiguration *configuration);
// What is to be done before the dispatch of a pass.
static void vkfft_bind(vkfft_transform *transform, const VkFFTAxis *pass);

// ---------------------------------------------------------------- making

// VkFFT compiles the number of rows into its kernels, but they find their row by the third number of their work-group, which is
// coordinate + coordinates * batch: if there are two of each, and so both enter, any number of work-groups goes.
// The order of the four-step transform is left as it comes; putting it right would take another buffer and more passes. Sines come
// from tables, as those of processors are not exact enough. Locales are for the whole process; check_locale asks.
static void configure(const hel_device *device, uint32_t points, vkfft_transform *transform) {
    transform->guard.device = device;
    transform->guard.transform = transform;
    transform->configuration = (VkFFTConfiguration){.FFTdim = 1,
                                                    .size = {points},
                                                    .coordinateFeatures = 2,
                                                    .numberBatches = 2,
                                                    .disableReorderFourStep = 1,
                                                    .useLUT = 1,
                                                    .useLUT_4step = 1,
                                                    .disableSetLocale = 1};
    vkfft_configure(device, &transform->binding, &transform->configuration);
}

static hel_status check_locale(const hel_device *device) {
    if (strcmp(localeconv()->decimal_point, ".") == 0) return HEL_OK;
    return hel_fail(HEL_ERROR_UNSUPPORTED, "%s:%u: VkFFT writes kernels with the locale's decimal sign, \"%s\"", device->backend,
                    device->index, localeconv()->decimal_point);
}

// Failures of the driver and of the heap have left before; these are sizes and devices that it does not know.
static void check_result(VkFFTResult result) {
    const hel_device *device = vkfft_now->device;
    if (result != VKFFT_SUCCESS)
        vkfft_leave(hel_fail(HEL_ERROR_UNSUPPORTED, "%s:%u: VkFFT: %s", device->backend, device->index,
                             getVkFFTErrorString(result)));
}

static void initialize(void *user) {
    vkfft_transform *transform = user;
    check_result(initializeVkFFT(&transform->application, transform->configuration));
}

// From the kernels of an earlier run, or, without, from its own texts.
static hel_status make_application(vkfft_transform *transform, void *kernels) {
    transform->configuration.loadApplicationFromString = kernels != NULL;
    transform->configuration.loadApplicationString = kernels;
    transform->configuration.saveApplicationToString = kernels == NULL;
    memset(&transform->application, 0, sizeof transform->application);
    hel_status status = vkfft_within(&transform->guard, initialize, transform);
    if (status != HEL_OK) vkfft_give_all_back(&transform->guard);
    return status;
}

static hel_status make_key(const vkfft_transform *transform, hel_binary_key *out) {
    const hel_device *device = transform->guard.device;
    int version = VkFFTGetVersion();
    uint64_t points = transform->configuration.size[0];
    const char *own = hel_version();
    const hel_binary_part parts[] = {{"vkfft", 5},
                                     {own, strlen(own)},
                                     {&version, sizeof version},
                                     {&points, sizeof points},
                                     {device->backend, strlen(device->backend)},
                                     {device->name, strlen(device->name)},
                                     {device->vendor, strlen(device->vendor)},
                                     {device->driver, strlen(device->driver)}};
    return hel_binary_cache_key(parts, HEL_COUNT(parts), out);
}

static hel_status load_or_make(vkfft_transform *transform, hel_binary_cache *cache) {
    hel_binary_key key;
    unsigned char *kernels;
    size_t size;
    HEL_TRY(make_key(transform, &key));
    if (hel_binary_cache_load(cache, &key, &kernels, &size)) {
        hel_status status = make_application(transform, kernels);
        hel_free(kernels);
        if (status == HEL_OK) return HEL_OK;
    }
    HEL_TRY(make_application(transform, NULL));
    const VkFFTApplication *application = &transform->application;
    hel_binary_cache_store(cache, &key, application->saveApplicationString, (size_t)application->applicationStringSize);
    return HEL_OK;
}

static void vkfft_transform_free(hel_transform *base) {
    vkfft_transform *transform = (vkfft_transform *)base;
    vkfft_give_all_back(&transform->guard);
    hel_free(transform);
}

static hel_status vkfft_transform_make(const hel_device *device, const vkfft_binding *binding, hel_binary_cache *cache,
                                       uint32_t points, hel_transform **out) {
    HEL_TRY(check_locale(device));
    vkfft_transform *transform = hel_alloc_zero(1, sizeof *transform);
    if (!transform) return hel_fail_memory(sizeof *transform);
    transform->binding = *binding;
    configure(device, points, transform);
    hel_status status = load_or_make(transform, cache);
    if (status == HEL_OK) *out = &transform->base;
    else vkfft_transform_free(&transform->base);
    return status;
}

// ---------------------------------------------------------------- launching

typedef struct vkfft_launch {
    vkfft_transform *transform;
    VkFFTLaunchParams params;
    uint32_t rows;
    bool back;
} vkfft_launch;

// The grid is VkFFT's own for rows: a work-group takes axisBlock of the lines that a pass makes of one.
static void append_pass(vkfft_launch *launch, VkFFTPlan *plan, uint64_t number) {
    VkFFTApplication *application = &launch->transform->application;
    VkFFTAxis *pass = &plan->axes[0][number];
    uint64_t lines = launch->transform->base.points / (uint64_t)pass->specializationConstants.fftDim.data.i;
    uint64_t passes = plan->numAxisUploads[0];
    uint64_t groups = passes == 1 ? lines : hel_ceil_div(lines, pass->axisBlock[number == 0]);
    if (number == 0 && passes > 2) groups = hel_round_up(groups, plan->axisSplit[0][1]);
    check_result(VkFFTUpdateBufferSet(application, plan, pass, 0, number, launch->back));
    vkfft_bind(launch->transform, pass);
    check_result(VkFFT_DispatchPlan(application, pass, (uint64_t[]){groups, 1, launch->rows}));
    check_result(VkFFTSync(application));
}

// VkFFTAppend goes through the passes the same way in both directions; with the order left as it comes the way back begins
// where the way there ends, which it knows of convolutions only.
static void append(void *user) {
    vkfft_launch *launch = user;
    VkFFTApplication *application = &launch->transform->application;
    VkFFTPlan *plan = launch->back ? application->localFFTPlan_inverse : application->localFFTPlan;
    check_result(VkFFTCheckUpdateBufferSet(application, NULL, 0, &launch->params));
    for (uint64_t i = 0, passes = plan->numAxisUploads[0]; i < passes; i++)
        append_pass(launch, plan, launch->back ? i : passes - 1 - i);
}

static hel_status vkfft_transform_launch(vkfft_launch *launch) {
    return vkfft_within(&launch->transform->guard, append, launch);
}
