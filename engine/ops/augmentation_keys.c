/* SPDX-License-Identifier: MIT */
/* The keys of augmentation in configs. */
#include "ops/augmentation.h"

#define SETTING(field) offsetof(us_augmentation_settings, field)

const us_key us_augmentation_keys[] = {
    {.name = "flip",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(flip),
     .minimum = 0,
     .maximum = 1,
     .help = "Share of the images that are mirrored left to right"},
    {.name = "quarter_turns",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(quarter_turns),
     .minimum = 0,
     .maximum = 1,
     .help = "Share of the images that are turned by 90, 180 or 270 degrees; images that are not "
             "square are turned upside down"},
    {.name = "rotation",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(rotation),
     .minimum = 0,
     .maximum = 180,
     .help = "Tilt images by up to so many degrees, either way"},
    {.name = "zoom",
     .kind = US_KEY_NUMBERS,
     .count = 2,
     .offset = SETTING(zoom),
     .minimum = 0.1,
     .maximum = 10,
     .fallback = {1, 1},
     .help = "Least and most by which images are enlarged; below 1 they are made smaller, with "
             "their mirror image around them"},
    {.name = "shift",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(shift),
     .minimum = 0,
     .maximum = 0.5,
     .help = "Shift images by up to this share of their sides, in each direction; the mirror image "
             "follows. Of enlarged images a part from anywhere is shown besides"},
    {.name = "blur",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(blur),
     .minimum = 0,
     .maximum = 8,
     .help = "Blur images by a Gaussian of up to so many pixels' standard deviation"},
    {.name = "colour",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(colour),
     .minimum = 0,
     .maximum = 1,
     .fallback = {1},
     .help = "Share of the images whose brightness, contrast, saturation and hue change as the "
             "next four keys say"},
    {.name = "brightness",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(brightness),
     .minimum = 0,
     .maximum = 1,
     .help = "Multiply values (black is 0) by a factor that is up to so far from 1"},
    {.name = "contrast",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(contrast),
     .minimum = 0,
     .maximum = 1,
     .help = "Multiply differences from the middle grey by a factor that is up to so far from 1"},
    {.name = "saturation",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(saturation),
     .minimum = 0,
     .maximum = 1,
     .help = "Multiply differences from grey by a factor that is up to so far from 1; 3 channels"},
    {.name = "hue",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(hue),
     .minimum = 0,
     .maximum = 0.5,
     .help = "Turn colours around grey by up to this share of a whole turn; 3 channels"},
    {.name = "grey",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(grey),
     .minimum = 0,
     .maximum = 1,
     .help = "Share of the images that lose their colours; 3 channels"},
    {.name = "noise",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(noise),
     .minimum = 0,
     .maximum = 1,
     .help = "Add normal noise of up to this standard deviation, white being 1 and black 0"},
    {.name = "cutout",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(cutout),
     .minimum = 0,
     .maximum = 1,
     .help = "Replace a rectangle anywhere by grey, its sides up to this share of the image's"},
    {.kind = US_KEY_END},
};

unseen_status us_augmentation_check(const us_json *object, const us_augmentation_settings *settings,
                                    us_shape shape, unseen_error *error) {
    if (settings->zoom[0] > settings->zoom[1]) {
        const us_json zoom = us_json_member(object, "zoom");
        return us_json_fail(&zoom, error, "the least comes first: write [%g, %g]",
                            settings->zoom[1], settings->zoom[0]);
    }
    const struct {
        const char *key;
        double value;
    } coloured[] = {
        {"saturation", settings->saturation}, {"hue", settings->hue}, {"grey", settings->grey}};
    for (size_t i = 0; i < sizeof coloured / sizeof *coloured; i++)
        if (coloured[i].value > 0 && shape.channels != 3) {
            const us_json at = us_json_member(object, coloured[i].key);
            return us_json_fail(&at, error,
                                "images of %d channels have no colours to change: set it to 0, or "
                                "/input/channels to 3",
                                shape.channels);
        }
    return UNSEEN_OK;
}
