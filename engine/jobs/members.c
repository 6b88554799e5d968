/* SPDX-License-Identifier: MIT */
#include "jobs/members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "jobs/run.h"
#include "training/log.h"

unseen_status us_members_check_earlier(const unseen_config *config, const char *folder,
                                       unseen_error *error) {
    for (int m = 0; m < config->member_count; m++) {
        bool checkpoint = false, model = false;
        char *own;
        US_TRY(us_member_folder(folder, config->members[m], &own, error));
        unseen_status status = us_folder_holds(own, US_RUN_CHECKPOINT, &checkpoint, error);
        if (status == UNSEEN_OK) status = us_folder_holds(own, US_RUN_MODEL, &model, error);
        free(own);
        US_TRY(status);
        if (checkpoint || model)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s already holds a run, of which the member %s is trained or begun: "
                           "continue it with --resume, give another folder with --out, or remove "
                           "that run and begin anew with --overwrite",
                           folder, config->members[m]->name);
    }
    return UNSEEN_OK;
}

/* What is kept of a member's results. */
static unseen_status add_result(const char *json, const char *name, cJSON *members,
                                unseen_error *error) {
    static const char *const kept[] = {"epochs",   "loss",       "held_out_loss", "train_seconds",
                                       "restarts", "parameters", "warnings"};
    cJSON *all = cJSON_Parse(json), *own = cJSON_AddObjectToObject(members, name);
    bool complete = all && own;
    for (size_t i = 0; complete && i < sizeof kept / sizeof *kept; i++) {
        cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(all, kept[i]);
        if (item) complete = cJSON_AddItemToObject(own, kept[i], item);
    }
    cJSON_Delete(all);
    return complete ? UNSEEN_OK : us_fail_memory(error, "results");
}

static unseen_status train_member(const unseen_config *member, const unseen_run_options *options,
                                  us_group *group, const unseen_events *events, cJSON *members,
                                  bool *apart, unseen_error *error) {
    char *folder, *json = NULL;
    US_TRY(us_member_folder(options->out, member, &folder, error));
    unseen_run_options own = *options;
    own.out = folder;
    own.train_only = true;
    unseen_status status = us_run_by(group, member, &own, events, &json, apart, error);
    /* Of the ranks that fail together one alone has a message. */
    if (status != UNSEEN_OK && status != UNSEEN_INTERRUPTED && *error->message)
        us_error_context(error, "the member %s", member->name);
    if (status == UNSEEN_OK && json) {
        status = add_result(json, member->name, members, error);
        if (status == UNSEEN_OK) status = us_log_members(options->out, members, NULL, error);
    }
    unseen_string_free(json);
    free(folder);
    return status;
}

unseen_status us_members_train(const unseen_config *config, const unseen_run_options *options,
                               us_group *group, const unseen_events *events, cJSON **members,
                               bool *apart, unseen_error *error) {
    unseen_run_options own = *options;
    unseen_status status = UNSEEN_OK;
    *members = cJSON_CreateObject();
    if (!*members) status = us_fail_memory(error, "results");
    US_TRY(us_group_agree(group, status, error));
    for (int m = 0; m < config->member_count; m++) {
        us_event_message(events, UNSEEN_EVENT_MESSAGE, "member %d of %d: %s", m + 1,
                         config->member_count, config->members[m]->name);
        status = train_member(config->members[m], &own, group, events, *members, apart, error);
        if (*apart || us_group_broken(group)) return status;
        US_TRY(us_group_agree(group, status, error));
        own.profile = NULL; /* one step is traced */
    }
    return UNSEEN_OK;
}

unseen_status us_members_describe(const us_model *model, cJSON *members, unseen_error *error) {
    double weights = 0, map_weights = 0;
    for (int m = 0; m < model->joint.count; m++) {
        weights += model->joint.members[m].weight;
        map_weights += model->joint.members[m].map_weight;
    }
    for (int m = 0; m < model->joint.count; m++) {
        cJSON *own = cJSON_GetObjectItemCaseSensitive(members, model->members[m].config->name);
        const us_joint_member *joint = &model->joint.members[m];
        if (!us_json_add_number(own, "weight", weights > 0 ? joint->weight / weights : 0) ||
            !us_json_add_number(own, "map_weight",
                                map_weights > 0 ? joint->map_weight / map_weights : 0) ||
            !us_synthetic_to_json(&model->members[m].synthetic, own))
            return us_fail_memory(error, "results");
    }
    return UNSEEN_OK;
}

double us_members_sum(const cJSON *members, const char *name) {
    double sum = 0;
    const cJSON *member;
    cJSON_ArrayForEach(member, members) {
        const cJSON *number = cJSON_GetObjectItemCaseSensitive(member, name);
        if (cJSON_IsNumber(number)) sum += number->valuedouble;
    }
    return sum;
}
