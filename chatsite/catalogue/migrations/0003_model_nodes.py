from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalogue', '0002_library'),
    ]

    operations = [
        migrations.AddField(
            model_name='model',
            name='nodes',
            field=models.JSONField(blank=True, default=list, verbose_name='machines'),
        ),
    ]
