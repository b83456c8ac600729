-- Migrations: named sets of tasks, and who may do what with them and their tasks. Relies on the row-level security of the catalogue: a
-- migration of another role is not visible, and so does not exist for who is not a member of that role.

CREATE FUNCTION mongoferry.create_migration(name text, comment text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF coalesce(create_migration.name, '') = '' THEN
        RAISE EXCEPTION 'a migration needs a name' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO mongoferry.migration (migration, comment)
        VALUES (create_migration.name, create_migration.comment)
        ON CONFLICT ON CONSTRAINT migration_pkey DO NOTHING;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM mongoferry.migration AS m WHERE m.migration = create_migration.name) THEN
            RAISE EXCEPTION 'migration "%" already exists', create_migration.name USING ERRCODE = 'duplicate_object';
        END IF;
        RAISE EXCEPTION 'migration "%" already exists', create_migration.name
            USING ERRCODE = 'duplicate_object', HINT = 'It belongs to another role: choose another name.';
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.create_migration(text, text) IS
    'makes an empty migration that belongs to the current role. add_task() fills it';

CREATE FUNCTION mongoferry.require_migration(migration text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF $1 IS NULL THEN
        RAISE EXCEPTION 'name of the migration must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM mongoferry.migration AS m WHERE m.migration = require_migration.migration) THEN
        RAISE EXCEPTION 'migration "%" does not exist', require_migration.migration
            USING ERRCODE = 'undefined_object',
                HINT = 'TABLE mongoferry.migration lists those that you may see; mongoferry.create_migration() makes one.';
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.require_migration(text) IS
    'raises undefined_object unless the migration exists and the current role may see it, and null_value_not_allowed for NULL. Part of the toolkit';

CREATE FUNCTION mongoferry.require_owner(migration text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    its_owner regrole;
BEGIN
    PERFORM mongoferry.require_migration(require_owner.migration);
    SELECT m.owner INTO its_owner FROM mongoferry.migration AS m WHERE m.migration = require_owner.migration;
    -- Membership is not enough, nor is being a superuser: a transform is its owner's code and runs with the owner's
    -- rights, never with those of somebody who happens to look at it.
    IF its_owner IS DISTINCT FROM quote_ident(current_user)::regrole THEN
        RAISE EXCEPTION 'must be owner of migration "%"', require_owner.migration
            USING ERRCODE = 'insufficient_privilege', HINT = format('SET ROLE %s first.', its_owner);
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.require_owner(text) IS
    'raises undefined_object unless the migration exists and the current role may see it, and insufficient_privilege unless the current role is its owner itself. Part of the toolkit';

CREATE FUNCTION mongoferry.require_task(migration text, task text) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_migration($1);
    IF $2 IS NULL THEN
        RAISE EXCEPTION 'name of the task must not be NULL' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM mongoferry.task AS t WHERE t.migration = $1 AND t.task = $2) THEN
        RAISE EXCEPTION 'task "%" of migration "%" does not exist', $2, $1 USING ERRCODE = 'undefined_object';
    END IF;
END
$function$;
COMMENT ON FUNCTION mongoferry.require_task(text, text) IS
    'raises undefined_object unless the task exists and the current role may see it. Part of the toolkit';

CREATE FUNCTION mongoferry.exclude_runs(migration text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mongoferry_exclude_runs';
COMMENT ON FUNCTION mongoferry.exclude_runs(text) IS
    'raises object_in_use while migrate, validate or recheck runs on the migration; else keeps them away until the end of the transaction. Part of the toolkit';

CREATE FUNCTION mongoferry.drop_migration(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM mongoferry.require_migration(drop_migration.name);
    PERFORM mongoferry.exclude_runs(drop_migration.name);
    DELETE FROM mongoferry.migration AS m WHERE m.migration = drop_migration.name;
END
$function$;
COMMENT ON FUNCTION mongoferry.drop_migration(text) IS
    'forgets a migration with its tasks, chunks, refused documents and runs. The targets and their rows stay';
