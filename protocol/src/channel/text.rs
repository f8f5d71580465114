//! What people read: one message and one remediation a code and language. English stands in for missing languages.
//! No other text reaches `userMessage`, so that nothing of a request can.

use super::{Code, Locale};

/// What stands in a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// What happened, 1 to 200 characters.
    pub message: &'static str,
    /// What to do, at most 200 characters.
    pub remediation: Option<&'static str>,
}

/// The languages of the table, English first.
pub const LANGUAGES: [&str; 4] = ["en", "de", "fr", "es"];

/// The texts of `code` in the language of `locale`.
#[must_use]
pub fn of(code: Code, locale: &Locale) -> Text {
    let language = locale.language();
    let column = LANGUAGES.iter().position(|known| *known == language).unwrap_or(0);
    let (messages, remediations) = row(code);
    let pick = |texts: [&'static str; 4]| texts.get(column).copied().unwrap_or_default();
    Text { message: pick(messages), remediation: remediations.map(pick) }
}

type Row = ([&'static str; 4], Option<[&'static str; 4]>);

#[allow(clippy::too_many_lines, reason = "one table, a row a code")]
const fn row(code: Code) -> Row {
    match code {
        Code::Ok => (["Done.", "Erledigt.", "Terminé.", "Hecho."], None),
        Code::ProfileNotFound => (
            [
                "This profile does not exist.",
                "Dieses Profil gibt es nicht.",
                "Ce profil n'existe pas.",
                "Este perfil no existe.",
            ],
            Some([
                "Reload the list of profiles.",
                "Laden Sie die Liste der Profile neu.",
                "Rechargez la liste des profils.",
                "Vuelva a cargar la lista de perfiles.",
            ]),
        ),
        Code::ValidationError => (
            [
                "Something in the request is not valid.",
                "Etwas in der Anfrage ist nicht gültig.",
                "Un élément de la demande n'est pas valide.",
                "Algo en la solicitud no es válido.",
            ],
            Some([
                "Check the fields that are named.",
                "Prüfen Sie die genannten Felder.",
                "Vérifiez les champs indiqués.",
                "Revise los campos indicados.",
            ]),
        ),
        Code::ConflictActiveProfile => (
            [
                "The active profile is being changed or has no successor.",
                "Das aktive Profil wird gerade geändert oder hat keinen Nachfolger.",
                "Le profil actif est en cours de modification ou n'a pas de successeur.",
                "El perfil activo se está cambiando o no tiene sucesor.",
            ],
            Some([
                "Wait a moment, or choose the profile that follows.",
                "Warten Sie kurz oder wählen Sie das nachfolgende Profil.",
                "Patientez, ou choisissez le profil suivant.",
                "Espere un momento o elija el perfil siguiente.",
            ]),
        ),
        Code::SafeStorageUnavailable => (
            [
                "Secure storage is not available.",
                "Der sichere Speicher ist nicht verfügbar.",
                "Le stockage sécurisé n'est pas disponible.",
                "El almacenamiento seguro no está disponible.",
            ],
            Some([
                "Ask the operator to provide the master key.",
                "Bitten Sie den Betreiber um den Hauptschlüssel.",
                "Demandez à l'exploitant de fournir la clé maîtresse.",
                "Pida al operador la clave maestra.",
            ]),
        ),
        Code::ServiceFailure => (
            [
                "A service that is needed does not answer.",
                "Ein benötigter Dienst antwortet nicht.",
                "Un service nécessaire ne répond pas.",
                "Un servicio necesario no responde.",
            ],
            Some([
                "Try again; if it goes on, ask the operator.",
                "Versuchen Sie es erneut; sonst fragen Sie den Betreiber.",
                "Réessayez ; si cela persiste, contactez l'exploitant.",
                "Inténtelo de nuevo; si continúa, consulte al operador.",
            ]),
        ),
        Code::DiscoveryConflict => (
            [
                "A provider answered in a way that does not fit.",
                "Ein Anbieter hat unpassend geantwortet.",
                "Un fournisseur a répondu de manière incohérente.",
                "Un proveedor respondió de forma incoherente.",
            ],
            Some([
                "Enter this provider by hand.",
                "Tragen Sie diesen Anbieter von Hand ein.",
                "Saisissez ce fournisseur à la main.",
                "Introduzca este proveedor a mano.",
            ]),
        ),
        Code::VaultReadError => (
            [
                "A stored profile cannot be read.",
                "Ein gespeichertes Profil ist nicht lesbar.",
                "Un profil enregistré est illisible.",
                "No se puede leer un perfil guardado.",
            ],
            Some([
                "Ask the operator to restore a backup.",
                "Bitten Sie den Betreiber um eine Wiederherstellung.",
                "Demandez à l'exploitant de restaurer une sauvegarde.",
                "Pida al operador que restaure una copia.",
            ]),
        ),
        Code::VaultWriteError => (
            [
                "The profile could not be stored.",
                "Das Profil konnte nicht gespeichert werden.",
                "Le profil n'a pas pu être enregistré.",
                "No se pudo guardar el perfil.",
            ],
            Some([
                "Try again; check the free space of the disk.",
                "Versuchen Sie es erneut; prüfen Sie den freien Speicherplatz.",
                "Réessayez ; vérifiez l'espace disque.",
                "Inténtelo de nuevo; compruebe el espacio en disco.",
            ]),
        ),
        Code::RateLimited => (
            [
                "The provider asks to wait.",
                "Der Anbieter bittet zu warten.",
                "Le fournisseur demande d'attendre.",
                "El proveedor pide esperar.",
            ],
            Some([
                "Try again in a minute.",
                "Versuchen Sie es in einer Minute erneut.",
                "Réessayez dans une minute.",
                "Inténtelo de nuevo en un minuto.",
            ]),
        ),
        Code::Timeout => (
            [
                "It took too long.",
                "Es hat zu lange gedauert.",
                "L'opération a pris trop de temps.",
                "Ha tardado demasiado.",
            ],
            Some([
                "Try again, or allow more time.",
                "Versuchen Sie es erneut oder geben Sie mehr Zeit.",
                "Réessayez ou accordez plus de temps.",
                "Inténtelo de nuevo o dé más tiempo.",
            ]),
        ),
        Code::ScriptNotFound => (
            [
                "This script does not exist.",
                "Dieses Skript gibt es nicht.",
                "Ce script n'existe pas.",
                "Este script no existe.",
            ],
            Some([
                "Reload the list of scripts.",
                "Laden Sie die Liste der Skripte neu.",
                "Rechargez la liste des scripts.",
                "Vuelva a cargar la lista de scripts.",
            ]),
        ),
        Code::VersionConflict => (
            [
                "The script has changed in the meantime.",
                "Das Skript wurde inzwischen geändert.",
                "Le script a été modifié entre-temps.",
                "El script ha cambiado entretanto.",
            ],
            Some([
                "Reload it and make your change again.",
                "Laden Sie es neu und ändern Sie es erneut.",
                "Rechargez-le et refaites la modification.",
                "Vuelva a cargarlo y repita el cambio.",
            ]),
        ),
        Code::SlugTaken => (
            [
                "Another script has this name.",
                "Ein anderes Skript hat diesen Namen.",
                "Un autre script porte ce nom.",
                "Otro script tiene este nombre.",
            ],
            Some([
                "Choose another name.",
                "Wählen Sie einen anderen Namen.",
                "Choisissez un autre nom.",
                "Elija otro nombre.",
            ]),
        ),
        Code::SyncConflict => (
            [
                "The script was changed in two places.",
                "Das Skript wurde an zwei Stellen geändert.",
                "Le script a été modifié à deux endroits.",
                "El script se cambió en dos sitios.",
            ],
            Some([
                "Look at its history and keep what you want.",
                "Sehen Sie den Verlauf an und behalten Sie, was Sie wollen.",
                "Consultez l'historique et gardez la bonne version.",
                "Mire el historial y conserve lo que quiera.",
            ]),
        ),
        Code::StoreError => (
            [
                "The store failed.",
                "Der Speicher hat versagt.",
                "Le stockage a échoué.",
                "El almacén ha fallado.",
            ],
            Some([
                "Try again; check the free space of the disk.",
                "Versuchen Sie es erneut; prüfen Sie den freien Speicherplatz.",
                "Réessayez ; vérifiez l'espace disque.",
                "Inténtelo de nuevo; compruebe el espacio en disco.",
            ]),
        ),
        Code::NotFound => (
            ["It does not exist.", "Das gibt es nicht.", "Cela n'existe pas.", "No existe."],
            Some([
                "Reload and try again.",
                "Laden Sie neu und versuchen Sie es erneut.",
                "Rechargez et réessayez.",
                "Vuelva a cargar e inténtelo de nuevo.",
            ]),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::ALL;

    #[test]
    fn every_text_fits_its_limit_in_every_language() {
        for code in ALL {
            for language in LANGUAGES {
                let text = of(code, &Locale::new(language).unwrap());
                assert!((1..=200).contains(&text.message.chars().count()), "{code:?} {language}");
                assert!(text.remediation.is_none_or(|text| (1..=200).contains(&text.chars().count())));
                assert_eq!(text.remediation.is_none(), code == Code::Ok);
            }
        }
    }

    #[test]
    fn a_missing_language_is_english() {
        assert_eq!(of(Code::Ok, &Locale::new("pt-BR").unwrap()).message, "Done.");
        assert_eq!(of(Code::Ok, &Locale::new("fr-CA").unwrap()).message, "Terminé.");
    }
}
