-- Configs by whom they apply to: what holds for an entity is asked often, and a tenant may have a config for each of its entities.
CREATE INDEX facts_config_targets ON facts ((data -> 'config' ->> 'applies_to'), tenant_id)
 WHERE type = 'config' AND subtype = 'versioned';
